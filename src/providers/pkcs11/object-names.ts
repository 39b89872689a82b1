import { createHash } from 'node:crypto'
import { isSymmetric, type KeySpec, type KeyUsage, pairOfSpec } from '../../core/key-spec.ts'
import { u16, u32 } from '../../lib/bytes.ts'

/** What one object of a version may do: no object can both unwrap and decrypt. */
export const MASTER_KEY_ROLES = ['enc', 'wrap'] as const
export type MasterKeyRole = (typeof MASTER_KEY_ROLES)[number]

/** What an object of ours is: beside those of AES keys, the two of a key pair and the secret that MACs are made with. */
export const OBJECT_ROLES = [...MASTER_KEY_ROLES, 'priv', 'pub', 'mac'] as const
export type ObjectRole = (typeof OBJECT_ROLES)[number]

const PAIR_ROLES = ['priv', 'pub'] as const
const MAC_ROLES = ['mac'] as const

/** The objects that a version is made of; the first is the one that it cannot do without. */
export function rolesOf({ spec = 'SYMMETRIC_DEFAULT' }: Pick<MaterialName, 'spec'>): readonly ObjectRole[] {
  if (isSymmetric(spec)) return MASTER_KEY_ROLES
  return pairOfSpec(spec) ? PAIR_ROLES : MAC_ROLES
}

/** The identity of a version's material. */
export interface MaterialName {
  readonly keyId: string
  readonly versionId: string
  readonly versionNumber: number
  /** Both are absent of a symmetric key. */
  readonly spec?: KeySpec
  readonly usage?: KeyUsage
  /** As `MasterKeyRef` has it. */
  readonly importId?: string
}

/** Digits of an import's id that labels show. */
const IMPORT_DIGITS = 8

/**
 * CKA_ID of one object: the first 16 bytes of SHA-256 over the count and the length-prefixed UTF-8 bytes of
 * `p11kms`, key id, version id, role and, where there is one, the id of the import, so that no two names share one.
 */
export function objectId(name: MaterialName, role: ObjectRole): Buffer {
  const { keyId, versionId, importId } = name
  const texts = ['p11kms', keyId, versionId, role, ...(importId === undefined ? [] : [importId])]
  const fields = texts.map((text) => Buffer.from(text, 'utf8'))
  const encoded = [u16(fields.length), ...fields.flatMap((field) => [u32(field.length), field])]
  return createHash('sha256').update(Buffer.concat(encoded)).digest().subarray(0, 16)
}

/** CKA_LABEL of one object, for people. */
export function objectLabel(name: MaterialName, role: ObjectRole): string {
  const { keyId, versionNumber, importId } = name
  const imported = importId === undefined ? '' : `.${importId.slice(0, IMPORT_DIGITS)}`
  return `kms/${keyId}/v${versionNumber}${imported}/${role}`
}

/** What {@link objectLabel} put into a label; `undefined` for any other label. */
export function parseObjectLabel(
  label: string,
): (Pick<MaterialName, 'keyId' | 'versionNumber'> & { readonly role: ObjectRole }) | undefined {
  const [, keyId, number, text] =
    /^kms\/([^/]+)\/v([1-9]\d{0,9})(?:\.[0-9a-f]{8})?\/([a-z]+)$/.exec(label) ?? []
  const role = OBJECT_ROLES.find((one) => one === text)
  return keyId === undefined || !role ? undefined : { keyId, versionNumber: Number(number), role }
}
