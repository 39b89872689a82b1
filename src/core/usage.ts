import { KmsError } from './errors.ts'
import type { KeyUsage, MasterKey } from './key.ts'

/** Operations that a key's usage decides on, in AWS KMS's names. */
export type UsageOperation =
  | 'Decrypt'
  | 'Encrypt'
  | 'GenerateDataKey'
  | 'GenerateDataKeyPair'
  | 'GenerateDataKeyPairWithoutPlaintext'
  | 'GenerateDataKeyWithoutPlaintext'
  | 'ReEncrypt'

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
  SIGN_VERIFY: [],
  GENERATE_VERIFY_MAC: [],
  KEY_AGREEMENT: [],
}

/**
 * Refuses an operation that the key was not made for.
 *
 * @throws {@link KmsError} `KEY_USAGE_INVALID`
 */
export function requireUsage(key: MasterKey, operation: UsageOperation): void {
  const { keyId, usage } = key
  if (ALLOWED[usage].includes(operation)) return
  const message = `Key '${keyId}' has usage ${usage}, which is not valid for ${operation}.`
  throw new KmsError('KEY_USAGE_INVALID', message, { keyId, usage, operation })
}
