import { KmsError } from './errors.ts'
import type { KeyUsage, MasterKey } from './key.ts'
import { algorithmsOf, isSymmetric, type KeyAlgorithms } from './key-spec.ts'

/** Operations that a key's usage decides on, in AWS KMS's names. */
export type UsageOperation =
  | 'Decrypt'
  | 'DeriveSharedSecret'
  | 'Encrypt'
  | 'GenerateDataKey'
  | 'GenerateDataKeyPair'
  | 'GenerateDataKeyPairWithoutPlaintext'
  | 'GenerateDataKeyWithoutPlaintext'
  | 'GenerateMac'
  | 'ReEncrypt'
  | 'Sign'
  | 'Verify'
  | 'VerifyMac'

const ENCRYPTING: readonly UsageOperation[] = [
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncrypt',
]

/** What each usage allows (AWS KMS, "CreateKey", KeyUsage). */
const ALLOWED: Readonly<Record<KeyUsage, readonly UsageOperation[]>> = {
  ENCRYPT_DECRYPT: ENCRYPTING,
  SIGN_VERIFY: ['Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret'],
}

/** Operations that make data keys, which symmetric keys alone do. */
const SYMMETRIC_ALONE: readonly UsageOperation[] = [
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
]

/**
 * Refuses an operation that the key was not made for.
 *
 * @throws {@link KmsError} `KEY_USAGE_INVALID`; `KEY_ALGORITHM_INVALID` where the usage would allow it and the spec does not.
 */
export function requireUsage(key: MasterKey, operation: UsageOperation): void {
  const { keyId, usage, spec } = key
  if (!ALLOWED[usage].includes(operation)) {
    const message = `Key '${keyId}' has usage ${usage}, which is not valid for ${operation}.`
    throw new KmsError('KEY_USAGE_INVALID', message, { keyId, usage, operation })
  }
  if (SYMMETRIC_ALONE.includes(operation) && !isSymmetric(spec)) {
    throw algorithmInvalid('SYMMETRIC_DEFAULT', key)
  }
}

/**
 * Refuses an algorithm that is none of the key's; {@link requireUsage} was asked before.
 *
 * @param algorithm - By its name in AWS KMS; it may be one that no key here has.
 * @throws {@link KmsError} `KEY_ALGORITHM_INVALID`
 */
export function requireAlgorithm<Purpose extends keyof KeyAlgorithms>(
  key: MasterKey,
  purpose: Purpose,
  algorithm: string,
): KeyAlgorithms[Purpose][number] {
  const known: readonly KeyAlgorithms[Purpose][number][] = algorithmsOf(key)[purpose]
  const found = known.find((one) => one === algorithm)
  if (found === undefined) throw algorithmInvalid(algorithm, key)
  return found
}

function algorithmInvalid(algorithm: string, { spec }: MasterKey): KmsError<'KEY_ALGORITHM_INVALID'> {
  const message = `Algorithm ${algorithm} is incompatible with key spec ${spec}.`
  return new KmsError('KEY_ALGORITHM_INVALID', message, { algorithm, spec })
}
