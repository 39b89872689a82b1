import { type DataPairAlgorithm, ED25519_OID, type PairAlgorithm } from '../../core/key-pair-spec.ts'
import {
  CKM_EC_EDWARDS_KEY_PAIR_GEN,
  CKM_EC_KEY_PAIR_GEN,
  CKM_ML_DSA_KEY_PAIR_GEN,
  CKM_RSA_PKCS_KEY_PAIR_GEN,
} from './mechanisms.ts'
import { type Attribute, attributes, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY } from './templates.ts'

const CKK_RSA = 0
const CKK_EC = 3
const CKK_EC_EDWARDS = 0x40
const CKK_ML_DSA = 0x4a
/** CKP_ML_DSA_…: values of CKA_PARAMETER_SET. */
const ML_DSA_PARAMETER_SETS = { ML_DSA_44: 1, ML_DSA_65: 2, ML_DSA_87: 3 } as const
const PUBLIC_EXPONENT = Buffer.from('010001', 'hex')

/** How one kind of key pair is made. */
export interface PairGeneration {
  readonly mechanism: number
  /** Its name, for operators. */
  readonly mechanismName: string
  readonly publicTemplate: Attribute[]
  readonly privateTemplate: Attribute[]
}

/** How each kind of pair is made. */
export const PAIR_KINDS = {
  rsa: {
    mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN,
    mechanismName: 'CKM_RSA_PKCS_KEY_PAIR_GEN',
    keyType: CKK_RSA,
  },
  ec: { mechanism: CKM_EC_KEY_PAIR_GEN, mechanismName: 'CKM_EC_KEY_PAIR_GEN', keyType: CKK_EC },
  ed25519: {
    mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN,
    mechanismName: 'CKM_EC_EDWARDS_KEY_PAIR_GEN',
    keyType: CKK_EC_EDWARDS,
  },
  'ml-dsa': {
    mechanism: CKM_ML_DSA_KEY_PAIR_GEN,
    mechanismName: 'CKM_ML_DSA_KEY_PAIR_GEN',
    keyType: CKK_ML_DSA,
  },
} as const

/**
 * A key pair that lives in the token for the length of one call. It may sign and verify, since some tokens make no key
 * without a use, and nothing else.
 *
 * @param sensitive - Whether the private key can leave the token wrapped alone; otherwise its attributes can be read.
 * @see PKCS#11 v3.1, "RSA private key objects", "EC private key objects", "Edwards EC private key objects"
 */
export function pairGeneration(algorithm: DataPairAlgorithm, sensitive: boolean): PairGeneration {
  const { mechanism, mechanismName, keyType } = PAIR_KINDS[algorithm.kind]
  return {
    mechanism,
    mechanismName,
    publicTemplate: attributes({
      CLASS: CKO_PUBLIC_KEY,
      KEY_TYPE: keyType,
      TOKEN: false,
      PRIVATE: false,
      ...pairParameters(algorithm),
      VERIFY: true,
      ENCRYPT: false,
      WRAP: false,
    }),
    privateTemplate: attributes({
      CLASS: CKO_PRIVATE_KEY,
      KEY_TYPE: keyType,
      TOKEN: false,
      PRIVATE: true,
      SENSITIVE: sensitive,
      EXTRACTABLE: true,
      SIGN: true,
      DECRYPT: false,
      UNWRAP: false,
      DERIVE: false,
    }),
  }
}

/** Attributes that tell the token which keys to make. */
export function pairParameters(algorithm: PairAlgorithm): Parameters<typeof attributes>[0] {
  if (algorithm.kind === 'rsa') return { MODULUS_BITS: algorithm.modulusBits, PUBLIC_EXPONENT }
  if (algorithm.kind === 'ml-dsa') return { PARAMETER_SET: ML_DSA_PARAMETER_SETS[algorithm.set] }
  return { EC_PARAMS: algorithm.kind === 'ec' ? algorithm.curve.oid : ED25519_OID }
}

/** An RSA private key that is unwrapped to have its numbers read. */
export const READABLE_RSA_KEY: readonly Attribute[] = attributes({
  CLASS: CKO_PRIVATE_KEY,
  KEY_TYPE: CKK_RSA,
  TOKEN: false,
  PRIVATE: true,
  SENSITIVE: false,
  EXTRACTABLE: true,
})
