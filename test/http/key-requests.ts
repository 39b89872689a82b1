import { randomBytes } from 'node:crypto'
import { ALICE } from '../support/kms-fixture.ts'
import { wrapMaterial } from '../support/wrap-material.ts'
import type { AwsFixture } from './aws-fixture.ts'

/** Operations that only a primary key of several regions takes. */
export const MULTI_REGION = ['ReplicateKey', 'UpdatePrimaryRegion']

export const SPECS: Readonly<Record<string, object>> = {
  DeriveSharedSecret: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' },
  GenerateMac: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
  DeleteImportedKeyMaterial: { Origin: 'EXTERNAL' },
  GetParametersForImport: { Origin: 'EXTERNAL' },
  GetPublicKey: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  Sign: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  Verify: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  VerifyMac: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
}
const B64 = 'QUJD'
const POLICY = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${ALICE.accountId}:root` },
      Action: 'kms:*',
      Resource: '*',
    },
  ],
}
const MEMBERS: Readonly<Record<string, object>> = {
  CreateGrant: { GranteePrincipal: `arn:aws:iam::${ALICE.accountId}:user/a`, Operations: ['Encrypt'] },
  DeriveSharedSecret: { KeyAgreementAlgorithm: 'ECDH', PublicKey: B64 },
  Encrypt: { Plaintext: B64 },
  GenerateDataKey: { KeySpec: 'AES_256' },
  GenerateDataKeyPair: { KeyPairSpec: 'ECC_NIST_P256' },
  GenerateDataKeyPairWithoutPlaintext: { KeyPairSpec: 'ECC_NIST_P256' },
  GenerateDataKeyWithoutPlaintext: { KeySpec: 'AES_256' },
  GenerateMac: { Message: B64, MacAlgorithm: 'HMAC_SHA_256' },
  ReplicateKey: { ReplicaRegion: 'ap-northeast-3' },
  UpdatePrimaryRegion: { PrimaryRegion: 'eu-central-1' },
  PutKeyPolicy: { Policy: JSON.stringify(POLICY) },
  GetParametersForImport: { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' },
  Sign: { Message: B64, SigningAlgorithm: 'ECDSA_SHA_256' },
  TagResource: { Tags: [{ TagKey: 'a', TagValue: 'b' }] },
  UntagResource: { TagKeys: ['a'] },
  UpdateKeyDescription: { Description: 'new' },
  Verify: { Message: B64, Signature: B64, SigningAlgorithm: 'ECDSA_SHA_256' },
  VerifyMac: { Message: B64, Mac: B64, MacAlgorithm: 'HMAC_SHA_256' },
}

/** A key that the operation can be asked of, and the request. */
export async function prepareKeyRequest(
  fixture: AwsFixture,
  operation: string,
  several = false,
  imported = false,
): Promise<{ keyId: string; input: object }> {
  const MultiRegion = several || MULTI_REGION.includes(operation)
  const made = await fixture.request('CreateKey', {
    ...SPECS[operation],
    ...(MultiRegion && { MultiRegion }),
    ...(imported && { Origin: 'EXTERNAL' }),
  })
  const { KeyId: keyId } = made.json['KeyMetadata'] as { readonly KeyId: string }
  if (MultiRegion) await fixture.request('ReplicateKey', { KeyId: keyId, ReplicaRegion: 'eu-central-1' })
  if (imported) await bringMaterial(fixture, keyId)
  const alias = { AliasName: 'alias/a', TargetKeyId: keyId }
  if (operation === 'CreateAlias') return { keyId, input: alias }
  if (operation === 'UpdateAlias') {
    await fixture.request('CreateAlias', { ...alias, TargetKeyId: (await fixture.newKey()).keyId })
    return { keyId, input: alias }
  }
  if (operation === 'DeleteAlias') {
    await fixture.request('CreateAlias', alias)
    return { keyId, input: { AliasName: 'alias/a' } }
  }
  if (operation === 'Decrypt' || operation === 'ReEncrypt') {
    const { json } = await fixture.request('Encrypt', { KeyId: keyId, Plaintext: B64 })
    const { CiphertextBlob } = json
    if (operation === 'Decrypt') return { keyId, input: { CiphertextBlob } }
    return { keyId, input: { CiphertextBlob, DestinationKeyId: (await fixture.newKey()).keyId } }
  }
  return { keyId, input: { KeyId: keyId, ...MEMBERS[operation] } }
}

async function bringMaterial(fixture: AwsFixture, KeyId: string): Promise<void> {
  const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
  const { json } = await fixture.request('GetParametersForImport', { KeyId, ...wrapping })
  const { ImportToken, PublicKey } = json as { readonly ImportToken: string; readonly PublicKey: string }
  const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', Buffer.from(PublicKey, 'base64'), randomBytes(32))
  await fixture.request('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: wrapped.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}
