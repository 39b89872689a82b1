import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { CKA, MASTER_KEY_READ_BACK, type MasterKeyRole, type ReadBack, usageReadBack } from './templates.ts'

/**
 * Compares what an object of a master key version says of itself with what its template asked.
 *
 * @returns The first attribute that differs.
 * @throws What the token answered: CKR_ATTRIBUTE_TYPE_INVALID where it does not know one of them.
 */
export function firstMismatch(token: LaneToken, handle: Handle, role: MasterKeyRole): ReadBack | undefined {
  for (const group of [...MASTER_KEY_READ_BACK, usageReadBack(role)]) {
    const types = group.map(({ name }) => ({ type: CKA[name] }))
    const values = token.p11.C_GetAttributeValue(token.session, handle, types)
    const wrong = group.find(({ expected }, index) => numberOf(values[index]?.value) !== Number(expected))
    if (wrong) return wrong
  }
  return undefined
}

/** A CK_BBOOL or CK_ULONG, little-endian as on every platform we run on. */
function numberOf(value: unknown): number {
  if (!Buffer.isBuffer(value) || value.length === 0) return Number.NaN
  return value.length >= 8 ? Number(value.readBigUInt64LE()) : value.readUIntLE(0, Math.min(value.length, 4))
}
