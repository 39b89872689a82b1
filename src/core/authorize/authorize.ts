import { KmsError } from '../errors.ts'
import type { MasterKey, Principal } from '../key.ts'

/**
 * What a principal may be allowed to do, in AWS KMS's names ("Actions defined by AWS Key Management Service") where it has one.
 */
export type KmsAction =
  | 'CancelKeyDeletion'
  | 'CreateAlias'
  | 'CreateGrant'
  | 'CreateKey'
  | 'CreateKeyVersion'
  | 'Decapsulate'
  | 'Decrypt'
  | 'DeleteAlias'
  | 'DeleteImportedKeyMaterial'
  | 'DeriveSharedSecret'
  | 'DescribeKey'
  | 'DisableKey'
  | 'DisableKeyRotation'
  | 'EnableKey'
  | 'EnableKeyRotation'
  | 'Encapsulate'
  | 'Encrypt'
  | 'GenerateDataKey'
  | 'GenerateDataKeyPair'
  | 'GenerateDataKeyPairWithoutPlaintext'
  | 'GenerateDataKeyWithoutPlaintext'
  | 'GenerateMac'
  | 'GenerateRandom'
  | 'GetKeyLastUsage'
  | 'GetKeyPolicy'
  | 'GetKeyRotationStatus'
  | 'GetPublicKey'
  | 'GetParametersForImport'
  | 'ImportKeyMaterial'
  | 'ListAliases'
  | 'ListGrants'
  | 'ListKeyPolicies'
  | 'ListKeyRotations'
  | 'ListKeys'
  | 'ListResourceTags'
  | 'ListRetirableGrants'
  | 'ManageClientAccess'
  | 'PutKeyPolicy'
  | 'ReEncryptFrom'
  | 'ReEncryptTo'
  | 'ReadClientAccess'
  | 'ReplicateKey'
  | 'RetireGrant'
  | 'RevokeGrant'
  | 'RotateKeyOnDemand'
  | 'ScheduleKeyDeletion'
  | 'SetDeletionProtection'
  | 'Sign'
  | 'TagResource'
  | 'UntagResource'
  | 'UpdateAlias'
  | 'UpdateKeyDescription'
  | 'UpdatePrimaryRegion'
  | 'Verify'
  | 'VerifyMac'

/**
 * The decision that every operation asks for before it touches a token: a principal may use what its account owns, in
 * the region that it addresses. Key policies and grants refine it later.
 *
 * @param key - The key acted on; absent for actions on the account itself.
 * @throws {@link KmsError} `ACCESS_DENIED`
 */
export function authorize(
  principal: Principal,
  action: KmsAction,
  key?: Pick<MasterKey, 'accountId' | 'region' | 'keyId'>,
): void {
  const { keyIds } = principal
  if (!key) {
    if (keyIds === undefined || keyIds.size > 0) return
  } else if (key.accountId === principal.accountId && key.region === principal.region) {
    if (keyIds === undefined || keyIds.has(key.keyId)) return
  }
  throw new KmsError('ACCESS_DENIED', `The principal is not allowed to perform ${action} on this key.`, {
    action,
  })
}
