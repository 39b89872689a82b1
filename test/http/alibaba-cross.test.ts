import {
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  ReEncryptCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { ALICE_ACS, alibabaFixture } from './alibaba-fixture.ts'
import { ALICE_KEY } from './aws-fixture.ts'

describe('both APIs on one port', () => {
  const fixture = alibabaFixture()
  let aws: KMSClient
  let alibaba: SdkCall

  beforeAll(async () => {
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    aws = new KMSClient({ endpoint, region: 'us-east-1', credentials: { ...ALICE_KEY }, maxAttempts: 1 })
    alibaba = sdkCalls(endpoint, ALICE_ACS)['openapi-core V3 query'] ?? expect.fail()
  })
  afterAll(async () => {
    aws.destroy()
    await fixture.server.close()
  })

  const base64 = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('base64')
  const bytes = (text: unknown) => Buffer.from(String(text), 'base64')

  it('show the same keys, whichever made them, with the same state', async () => {
    const { KeyMetadata } = await aws.send(new CreateKeyCommand({ Description: 'made by AWS' }))
    const KeyId = KeyMetadata?.KeyId ?? ''
    expect(await alibaba('DescribeKey', { KeyId })).toMatchObject({
      KeyMetadata: { KeyId, Description: 'made by AWS' },
    })
    await alibaba('DisableKey', { KeyId })
    const described = await aws.send(new DescribeKeyCommand({ KeyId }))
    expect(described.KeyMetadata).toMatchObject({ KeyState: 'Disabled', AWSAccountId: '111122223333' })
    const made = await alibaba('CreateKey', { Description: 'made by Alibaba' })
    const { KeyId: other } = made['KeyMetadata'] as { KeyId: string }
    expect((await aws.send(new DescribeKeyCommand({ KeyId: other }))).KeyMetadata?.Description).toBe(
      'made by Alibaba',
    )
  })

  it('show a key of ML-DSA, which one of them makes and both give the public key of', async () => {
    const input = { KeySpec: 'ML_DSA_65', KeyUsage: 'SIGN_VERIFY' } as const
    const { KeyMetadata } = await aws.send(new CreateKeyCommand(input))
    const KeyId = KeyMetadata?.KeyId ?? ''
    const described = await alibaba('DescribeKey', { KeyId })
    expect(described).toMatchObject({ KeyMetadata: { KeySpec: 'ML_DSA_65', KeyUsage: 'SIGN/VERIFY' } })
    const { PrimaryKeyVersion: KeyVersionId } = described['KeyMetadata'] as Record<string, string>
    const { PublicKey } = await aws.send(new GetPublicKeyCommand({ KeyId }))
    const { PublicKey: pem } = await alibaba('GetPublicKey', { KeyId, KeyVersionId: KeyVersionId ?? '' })
    const text = String(pem).replaceAll(/-----.*-----|\n/g, '')
    expect(text).toBe(base64(PublicKey))
    const digest = { Algorithm: 'ECDSA_SHA_256', Digest: base64(Buffer.alloc(32)) }
    const signing = alibaba('AsymmetricSign', { KeyId, KeyVersionId: KeyVersionId ?? '', ...digest })
    const code = expect.stringContaining('UnsupportedOperation')
    await expect(signing).rejects.toMatchObject({ code })
  })

  it("open each other's ciphertexts, with the same context, and refuse another", async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const EncryptionContext = { 'a=b&c': '1&2', ü: "'*~" }
    const json = JSON.stringify(EncryptionContext)
    const ofAws = await aws.send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.of(0, 255, 10), EncryptionContext }),
    )
    const opened = await alibaba('Decrypt', {
      CiphertextBlob: base64(ofAws.CiphertextBlob),
      EncryptionContext: json,
    })
    // Bytes that no caller of this API gave are base64 here.
    expect(opened['Plaintext']).toBe(Buffer.of(0, 255, 10).toString('base64'))

    const ofAlibaba = await alibaba('Encrypt', { KeyId, Plaintext: 'Grüße', EncryptionContext: json })
    const blob = bytes(ofAlibaba['CiphertextBlob'])
    const back = await aws.send(new DecryptCommand({ CiphertextBlob: blob, EncryptionContext }))
    expect(Buffer.from(back.Plaintext ?? []).toString('utf8')).toBe('Grüße')
    await expect(aws.send(new DecryptCommand({ CiphertextBlob: blob }))).rejects.toMatchObject({
      name: 'InvalidCiphertextException',
    })
    await expect(alibaba('Decrypt', { CiphertextBlob: base64(ofAws.CiphertextBlob) })).rejects.toMatchObject({
      code: 'InvalidParameter',
    })
  })

  it('give the text of an Alibaba data key and the bytes of an AWS one', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const text = await alibaba('GenerateDataKey', { KeyId })
    const ofText = await aws.send(new DecryptCommand({ CiphertextBlob: bytes(text['CiphertextBlob']) }))
    expect(Buffer.from(ofText.Plaintext ?? []).toString('latin1')).toBe(text['Plaintext'])
    const raw = await aws.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
    const ofRaw = await alibaba('Decrypt', { CiphertextBlob: base64(raw.CiphertextBlob) })
    expect(ofRaw['Plaintext']).toBe(base64(raw.Plaintext))
  })

  it('re-encrypt into their own layout and keep what the other gives back', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const made = await alibaba('GenerateDataKey', { KeyId })
    const moved = await aws.send(
      new ReEncryptCommand({ CiphertextBlob: bytes(made['CiphertextBlob']), DestinationKeyId: KeyId }),
    )
    expect(moved.CiphertextBlob?.[0]).toBe(1)
    const opened = await alibaba('Decrypt', { CiphertextBlob: base64(moved.CiphertextBlob) })
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    const again = await alibaba('ReEncrypt', {
      CiphertextBlob: base64(moved.CiphertextBlob),
      DestinationKeyId: KeyId,
    })
    expect(bytes(again['CiphertextBlob']).toString('latin1', 0, 36)).toBe(again['KeyVersionId'])
    expect((await alibaba('Decrypt', { CiphertextBlob: String(again['CiphertextBlob']) }))['Plaintext']).toBe(
      made['Plaintext'],
    )
  })
})
