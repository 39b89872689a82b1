import type { KeySpec, KeyState, KeyUsage, KeyVersion, MasterKey } from '../../../core/key.ts'
import { isSymmetric } from '../../../core/key-spec.ts'
import { keyArn } from './key-names.ts'
import type { AcsScope } from './operation.ts'
import { toUtc } from './timestamp.ts'

/** What a key is called here; those that only the AWS API makes are shown by a name in the same style. */
export const KEY_SPEC_NAMES = {
  SYMMETRIC_DEFAULT: 'Aliyun_AES_256',
  RSA_2048: 'RSA_2048',
  RSA_3072: 'RSA_3072',
  RSA_4096: 'RSA_4096',
  ECC_NIST_P256: 'EC_P256',
  ECC_NIST_P384: 'EC_P384',
  ECC_NIST_P521: 'EC_P521',
  ECC_SECG_P256K1: 'EC_P256K',
  ECC_NIST_EDWARDS25519: 'EC_ED25519',
  HMAC_224: 'HMAC_224',
  HMAC_256: 'HMAC_256',
  HMAC_384: 'HMAC_384',
  HMAC_512: 'HMAC_512',
  ML_DSA_44: 'ML_DSA_44',
  ML_DSA_65: 'ML_DSA_65',
  ML_DSA_87: 'ML_DSA_87',
} as const satisfies Readonly<Record<KeySpec, string>>

export const KEY_USAGE_NAMES = {
  ENCRYPT_DECRYPT: 'ENCRYPT/DECRYPT',
  SIGN_VERIFY: 'SIGN/VERIFY',
  GENERATE_VERIFY_MAC: 'GENERATE/VERIFY_MAC',
  KEY_AGREEMENT: 'KEY_AGREEMENT',
} as const satisfies Readonly<Record<KeyUsage, string>>

/** A state that there is of multi-region keys alone is the nearest one here. */
export function keyStateName(state: KeyState): string {
  return state === 'PendingReplicaDeletion' ? 'PendingDeletion' : state
}

/** Keys are objects of a token; where less was asked for that is told, because tools make anew what is told otherwise. */
export function protectionLevelOf({ protectionLevel }: MasterKey): 'SOFTWARE' | 'HSM' {
  return protectionLevel ?? 'HSM'
}

/** What the answer of an operation says of the key that it used. */
export function keyMembers({ key, version }: { readonly key: MasterKey; readonly version: KeyVersion }) {
  return { KeyId: key.keyId, KeyVersionId: version.versionId }
}

/** `KeyMetadata`, without what DescribeKey alone tells. Members that do not apply are empty texts. */
export function keyMetadata(scope: AcsScope, key: MasterKey) {
  const primary = key.versions.find(({ versionId }) => versionId === key.primaryVersionId)
  return {
    KeyId: key.keyId,
    Arn: keyArn(scope, key.keyId),
    Creator: scope.uid,
    CreationDate: toUtc(key.createdAt),
    Description: key.description,
    KeySpec: KEY_SPEC_NAMES[key.spec],
    KeyUsage: KEY_USAGE_NAMES[key.usage],
    KeyState: keyStateName(key.state),
    Origin: key.origin === 'EXTERNAL' ? 'EXTERNAL' : 'Aliyun_KMS',
    ProtectionLevel: protectionLevelOf(key),
    PrimaryKeyVersion: key.primaryVersionId,
    DeleteDate: toUtc(key.deletionAt),
    MaterialExpireTime: toUtc(primary?.imported?.expiresAt),
    LastRotationDate: toUtc(lastCreated(key)),
    ...rotationMembers(key),
    DKMSInstanceId: '',
  }
}

/** Of a symmetric key its primary version is the last one that rotation made; versions of a key pair come beside the primary one. */
function lastCreated({ spec, versions, primaryVersionId }: MasterKey): number | undefined {
  const last = isSymmetric(spec)
    ? versions.find(({ versionId }) => versionId === primaryVersionId)
    : versions.at(-1)
  return last?.createdAt
}

const DAY_SECONDS = 86_400

/** A key that is not enabled is not rotated: its schedule waits. */
function rotationMembers({ rotationSchedule, state }: MasterKey) {
  if (!rotationSchedule) return { AutomaticRotation: 'Disabled' }
  const { periodDays, nextAt } = rotationSchedule
  return {
    AutomaticRotation: state === 'Enabled' ? 'Enabled' : 'Suspended',
    RotationInterval: `${periodDays * DAY_SECONDS}s`,
    NextRotationDate: toUtc(nextAt),
  }
}
