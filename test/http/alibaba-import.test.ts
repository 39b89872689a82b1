import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { alibabaFixture, faultOf } from './alibaba-fixture.ts'

const WRAPPING = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }

describe('material that the owner of a key brings', () => {
  const fixture = alibabaFixture()
  const { rpc, clock } = fixture

  async function externalKey(): Promise<string> {
    const { json } = await rpc('CreateKey', { Origin: 'EXTERNAL' })
    return (json['KeyMetadata'] as { KeyId: string }).KeyId
  }

  async function parametersOf(KeyId: string, material: Buffer) {
    const { json } = await rpc('GetParametersForImport', { KeyId, ...WRAPPING })
    expect(json).toMatchObject({ KeyId, TokenExpireTime: expect.stringMatching(/Z$/) })
    const key = createPublicKey({
      key: Buffer.from(String(json['PublicKey']), 'base64'),
      format: 'der',
      type: 'spki',
    })
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const wrapped = publicEncrypt({ key, padding, oaepHash: 'sha256' }, material)
    return {
      KeyId,
      ImportToken: String(json['ImportToken']),
      EncryptedKeyMaterial: wrapped.toString('base64'),
    }
  }

  async function describeKey(KeyId: string) {
    return (await rpc('DescribeKey', { KeyId })).json['KeyMetadata'] as Record<string, string>
  }

  it('makes the key usable, goes, and comes again', async () => {
    const KeyId = await externalKey()
    const material = randomBytes(32)
    const first = await parametersOf(KeyId, material)
    expect((await rpc('ImportKeyMaterial', { ...first, KeyMaterialExpireUnix: '0' })).status).toBe(200)
    expect(await describeKey(KeyId)).toMatchObject({
      KeyState: 'Enabled',
      Origin: 'EXTERNAL',
      MaterialExpireTime: '',
    })
    const { json } = await rpc('GenerateDataKey', { KeyId })
    const CiphertextBlob = String(json['CiphertextBlob'])
    expect((await rpc('DeleteKeyMaterial', { KeyId })).status).toBe(200)
    expect((await rpc('Decrypt', { CiphertextBlob })).json['Code']).toBe('Rejected.PendingImport')
    const other = await parametersOf(KeyId, randomBytes(32))
    expect(faultOf(await rpc('ImportKeyMaterial', { ...other, KeyMaterialExpireUnix: '0' }))).toEqual([
      400,
      'InvalidKeyMaterial',
      'The key material is invalid.',
    ])
    const again = await parametersOf(KeyId, material)
    const expires = Math.floor(clock.now() / 1000) + 86_400
    expect((await rpc('ImportKeyMaterial', { ...again, KeyMaterialExpireUnix: `${expires}` })).status).toBe(
      200,
    )
    expect(Date.parse((await describeKey(KeyId))['MaterialExpireTime'] ?? '')).toBe(expires * 1000)
    expect((await rpc('Decrypt', { CiphertextBlob })).json['Plaintext']).toBe(json['Plaintext'])
  })

  it('is waited for by a key that is protected from deletion', async () => {
    const KeyId = await externalKey()
    const protect = (on: boolean) =>
      rpc('SetDeletionProtection', { ProtectedResourceArn: KeyId, EnableDeletionProtection: `${on}` })
    expect((await protect(true)).status).toBe(200)
    const schedule = () => rpc('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: '7' })
    expect((await schedule()).json['Code']).toBe('Rejected.DeletionProtection')
    await protect(false)
    expect((await schedule()).status).toBe(200)
    expect((await protect(true)).json['Code']).toBe('Rejected.PendingDeletion')
  })

  it('is refused with another token, an end in the past, or for a key of the service', async () => {
    const KeyId = await externalKey()
    const parameters = { ...(await parametersOf(KeyId, randomBytes(32))), KeyMaterialExpireUnix: '0' }
    const codeOf = async (changed: Record<string, string>) =>
      (await rpc('ImportKeyMaterial', { ...parameters, ...changed })).json['Code']
    expect(await codeOf({ ImportToken: 'AAAA' })).toBe('InvalidImportToken')
    expect(await codeOf({ KeyMaterialExpireUnix: '1' })).toBe('InvalidParameter')
    expect(await codeOf({ KeyMaterialExpireUnix: '' })).toBe('MissingParameter')
    const { keyId } = await fixture.newKey()
    expect(faultOf(await rpc('GetParametersForImport', { KeyId: keyId, ...WRAPPING }))).toEqual([
      400,
      'Unsupported.Origin',
      'This key origin is not valid for this api.',
    ])
    expect((await rpc('DeleteKeyMaterial', { KeyId: keyId })).json['Code']).toBe('Unsupported.Origin')
    const wrapped = async (changed: Record<string, string>) =>
      (await rpc('GetParametersForImport', { KeyId, ...WRAPPING, ...changed })).json['Code']
    expect(await wrapped({ WrappingAlgorithm: 'RSAES_PKCS1_V1_5' })).toBe('UnsupportedOperation')
    expect(await wrapped({ WrappingAlgorithm: 'SM2PKE' })).toBe('UnsupportedOperation')
    expect(await wrapped({ WrappingKeySpec: 'EC_SM2' })).toBe('UnsupportedOperation')
    expect(await wrapped({ WrappingKeySpec: 'RSA_4096' })).toBe('InvalidParameter')
    expect((await rpc('CreateKey', { Origin: 'EXTERNAL', KeySpec: 'RSA_2048' })).json['Code']).toBe(
      'UnsupportedOperation',
    )
  })
})
