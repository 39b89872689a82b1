import { createHash } from 'node:crypto'
import type { WrappingKeySpec } from '../../core/ports/import-store.ts'
import { u16, u32 } from '../../lib/bytes.ts'
import { findObjects } from './find-objects.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_RSA_PKCS_KEY_PAIR_GEN } from './mechanisms.ts'
import type { Handle } from './module.ts'
import type { PairGeneration } from './pair-templates.ts'
import { type Attribute, attributes, CKA } from './templates.ts'

const LABEL_PREFIX = 'kms-import/'
const CKO_PUBLIC_KEY = 2
const CKO_PRIVATE_KEY = 3
const CKK_RSA = 0
const PUBLIC_EXPONENT = Buffer.from('010001', 'hex')
const FOUND_MAX = 4

export const MODULUS_BITS: Readonly<Record<WrappingKeySpec, number>> = {
  RSA_2048: 2048,
  RSA_3072: 3072,
  RSA_4096: 4096,
}

/** What the private key of a pair may do: unwrap inside the token, or decrypt into host memory. Never both. */
export type ImportWay = 'inside' | 'host'

/** CKA_ID of a pair's private key, as `objectId` makes those of master keys. */
function pairObjectId(pairId: string): Buffer {
  const fields = ['p11kms', 'import', pairId].map((text) => Buffer.from(text, 'utf8'))
  const encoded = [u16(fields.length), ...fields.flatMap((field) => [u32(field.length), field])]
  return createHash('sha256').update(Buffer.concat(encoded)).digest().subarray(0, 16)
}

/**
 * An RSA key pair that material is wrapped for. The private key stays in the token; the public one is read out and ends with the
 * session.
 *
 * @see PKCS#11 v3.1, "RSA private key objects"
 */
export function importPairGeneration(pairId: string, spec: WrappingKeySpec, way: ImportWay): PairGeneration {
  return {
    mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN,
    mechanismName: 'CKM_RSA_PKCS_KEY_PAIR_GEN',
    publicTemplate: attributes({
      CLASS: CKO_PUBLIC_KEY,
      KEY_TYPE: CKK_RSA,
      TOKEN: false,
      PRIVATE: false,
      MODULUS_BITS: MODULUS_BITS[spec],
      PUBLIC_EXPONENT,
      ENCRYPT: way === 'host',
      WRAP: way === 'inside',
      VERIFY: false,
    }),
    privateTemplate: attributes({
      CLASS: CKO_PRIVATE_KEY,
      KEY_TYPE: CKK_RSA,
      TOKEN: true,
      PRIVATE: true,
      SENSITIVE: true,
      EXTRACTABLE: false,
      MODIFIABLE: false,
      ID: pairObjectId(pairId),
      LABEL: LABEL_PREFIX + pairId,
      UNWRAP: way === 'inside',
      DECRYPT: way === 'host',
      SIGN: false,
      DERIVE: false,
    }),
  }
}

/** Whether the label and the CKA_ID of an object, in hex, are those of the private key of one pair. */
export function isImportPairName(label = '', id?: string): boolean {
  if (!label.startsWith(LABEL_PREFIX)) return false
  return pairObjectId(label.slice(LABEL_PREFIX.length)).toString('hex') === id
}

/** Spec of a pair by the length of its modulus. */
export function specOf(modulusBytes: number): WrappingKeySpec | undefined {
  const specs = Object.keys(MODULUS_BITS) as readonly WrappingKeySpec[]
  return specs.find((spec) => MODULUS_BITS[spec] === modulusBytes * 8)
}

export function findImportPair(token: LaneToken, pairId: string): Handle[] {
  const template: Attribute[] = [
    { type: CKA.CLASS, value: CKO_PRIVATE_KEY },
    { type: CKA.TOKEN, value: true },
    { type: CKA.ID, value: pairObjectId(pairId) },
  ]
  return findObjects(token, template, FOUND_MAX)
}

/** What the private key in the token was made for. */
export function wayOf(token: LaneToken, privateKey: Handle): ImportWay {
  const [unwrap] = token.p11.C_GetAttributeValue(token.session, privateKey, [{ type: CKA.UNWRAP }])
  const value = unwrap?.value
  return Buffer.isBuffer(value) && value[0] === 1 ? 'inside' : 'host'
}
