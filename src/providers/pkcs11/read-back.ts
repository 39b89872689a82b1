import { readBackOf } from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import type { MaterialName, ObjectRole } from './object-names.ts'
import { CKA, CKO_SECRET_KEY, classOf, MASTER_KEY_READ_BACK, type ReadBack } from './templates.ts'

/** What a key that was brought into the token says otherwise than one that was made there. */
const PROVENANCE: readonly ReadBack['name'][] = ['ALWAYS_SENSITIVE', 'NEVER_EXTRACTABLE', 'LOCAL']

/**
 * Compares what an object of a master key version says of itself with what its template asked, but for what this token
 * is known not to say (`vendor-quirks.ts`).
 *
 * @param exempt - Attributes that do not matter here.
 * @returns The first attribute that differs.
 * @throws What the token answered: CKR_ATTRIBUTE_TYPE_INVALID where it does not know one of them.
 */
export function firstMismatch(
  token: LaneToken,
  handle: Handle,
  name: MaterialName,
  role: ObjectRole,
  exempt: readonly ReadBack['name'][] = [],
): ReadBack | undefined {
  const waived: readonly string[] = [...token.capabilities.waived, ...exempt]
  for (const group of readBackOf(name, role)) {
    const wrong = mismatchIn(
      token,
      handle,
      group.filter((attribute) => !waived.includes(attribute.name)),
    )
    if (wrong) return wrong
  }
  return undefined
}

/**
 * As {@link firstMismatch}, of a key that was made elsewhere and brought here. SoftHSM keeps no length of what it unwraps, and
 * says 0: such a key tells nothing of its length, so the caller has to know it otherwise. Any other length has to be right.
 */
export function firstBroughtMismatch(
  token: LaneToken,
  handle: Handle,
  name: MaterialName,
  role: ObjectRole,
): ReadBack | undefined {
  const unsaid = classOf(role) === CKO_SECRET_KEY && valueLengthOf(token, handle) === 0
  return firstMismatch(token, handle, name, role, [...PROVENANCE, ...(unsaid ? ['VALUE_LEN' as const] : [])])
}

/** CKA_VALUE_LEN of a secret key; 0 where the token does not tell it. Bytes. */
export function valueLengthOf(token: LaneToken, key: Handle): number {
  const [length] = token.p11.C_GetAttributeValue(token.session, key, [{ type: CKA.VALUE_LEN }])
  return numberOf(length?.value) || 0
}

/** Those of `names` that a key made in the token does not read back as a master key must. */
export function departures(
  token: LaneToken,
  handle: Handle,
  names: readonly ReadBack['name'][],
): readonly ReadBack['name'][] {
  const expected = MASTER_KEY_READ_BACK.flat().filter(({ name }) => names.includes(name))
  return expected.filter((one) => mismatchIn(token, handle, [one])).map(({ name }) => name)
}

/** The first of `group` that an object reads back otherwise. @throws As {@link firstMismatch} does. */
export function mismatchIn(
  token: LaneToken,
  handle: Handle,
  group: readonly ReadBack[],
): ReadBack | undefined {
  const types = group.map(({ name }) => ({ type: CKA[name] }))
  const values = token.p11.C_GetAttributeValue(token.session, handle, types)
  return group.find(({ expected }, index) => numberOf(values[index]?.value) !== Number(expected))
}

/** A CK_BBOOL or CK_ULONG, little-endian as on every platform we run on. */
function numberOf(value: unknown): number {
  if (!Buffer.isBuffer(value) || value.length === 0) return Number.NaN
  return value.length >= 8 ? Number(value.readBigUInt64LE()) : value.readUIntLE(0, Math.min(value.length, 4))
}
