import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateMacCommand,
  GetKeyLastUsageCommand,
  GetPublicKeyCommand,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  VerifyCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { refused, sdkFixture } from './sdk-fixture.ts'

const ABSENT = '00000000-0000-4000-8000-000000000000'

describe('GetKeyLastUsage through the SDK', () => {
  const { clients, newKeyArn, clock } = sdkFixture()
  const usage = (KeyId: string) => clients.alice.send(new GetKeyLastUsageCommand({ KeyId }))
  const last = async (KeyId: string) => (await usage(KeyId)).KeyLastUsage

  it('says of a new key that it was not used, and since when that is known', async () => {
    const KeyId = await newKeyArn()
    const { $metadata: _, ...answer } = await usage(KeyId)
    expect(answer).toEqual({
      KeyId: KeyId.split('/')[1],
      KeyLastUsage: {},
      TrackingStartDate: answer.KeyCreationDate,
      KeyCreationDate: expect.any(Date),
    })
  })

  it('says what a key was used for, by which request and when', async () => {
    const KeyId = await newKeyArn()
    const Plaintext = Buffer.from('x')
    const KeySpec = 'AES_256' as const
    const KeyPairSpec = 'ECC_NIST_P256' as const
    const { CiphertextBlob } = await clients.alice.send(new EncryptCommand({ KeyId, Plaintext }))
    const calls = [
      ['Encrypt', () => clients.alice.send(new EncryptCommand({ KeyId, Plaintext }))],
      ['Decrypt', () => clients.alice.send(new DecryptCommand({ CiphertextBlob }))],
      ['GenerateDataKey', () => clients.alice.send(new GenerateDataKeyCommand({ KeyId, KeySpec }))],
      [
        'GenerateDataKeyWithoutPlaintext',
        () => clients.alice.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec })),
      ],
      [
        'GenerateDataKeyPair',
        () => clients.alice.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec })),
      ],
      [
        'GenerateDataKeyPairWithoutPlaintext',
        () => clients.alice.send(new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId, KeyPairSpec })),
      ],
    ] as const
    for (const [Operation, use] of calls) {
      const { $metadata } = await use()
      const Timestamp = expect.any(Date)
      expect(await last(KeyId)).toEqual({ Operation, Timestamp, KmsRequestId: $metadata.requestId })
      const { KeyLastUsage } = await usage(KeyId)
      expect(Math.abs(clock.now() - (KeyLastUsage?.Timestamp?.getTime() ?? 0))).toBeLessThan(2_000)
    }
  })

  it('says what a key of another kind was used for', async () => {
    const { alice } = clients
    const Message = Buffer.from('x')
    const signing = await newKeyArn({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    const SigningAlgorithm = 'ECDSA_SHA_256' as const
    const signed = { KeyId: signing, Message, SigningAlgorithm }
    const { Signature } = await alice.send(new SignCommand(signed))
    expect(await last(signing)).toMatchObject({ Operation: 'Sign' })
    await alice.send(new VerifyCommand({ ...signed, Signature }))
    expect(await last(signing)).toMatchObject({ Operation: 'Verify' })
    const before = await last(signing)
    const other = alice.send(new VerifyCommand({ ...signed, Message: Buffer.from('y'), Signature }))
    await refused(other, 'KMSInvalidSignatureException')
    expect(await last(signing)).toEqual(before)
    const maccing = await newKeyArn({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
    const macced = { KeyId: maccing, Message, MacAlgorithm: 'HMAC_SHA_256' as const }
    const { Mac } = await alice.send(new GenerateMacCommand(macced))
    expect(await last(maccing)).toMatchObject({ Operation: 'GenerateMac' })
    await alice.send(new VerifyMacCommand({ ...macced, Mac }))
    expect(await last(maccing)).toMatchObject({ Operation: 'VerifyMac' })
    const agreeing = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' } as const
    const [KeyId, peer] = [await newKeyArn(agreeing), await newKeyArn(agreeing)]
    const { PublicKey } = await alice.send(new GetPublicKeyCommand({ KeyId: peer }))
    const KeyAgreementAlgorithm = 'ECDH' as const
    await alice.send(new DeriveSharedSecretCommand({ KeyId, PublicKey, KeyAgreementAlgorithm }))
    expect(await last(KeyId)).toMatchObject({ Operation: 'DeriveSharedSecret' })
    expect(await last(peer)).toEqual({})
  })

  it('counts a ReEncrypt for both keys', async () => {
    const [source, DestinationKeyId] = [await newKeyArn(), await newKeyArn()]
    const sealed = await clients.alice.send(
      new EncryptCommand({ KeyId: source, Plaintext: Buffer.from('x') }),
    )
    const { CiphertextBlob } = sealed
    await clients.alice.send(new ReEncryptCommand({ CiphertextBlob, DestinationKeyId }))
    for (const KeyId of [source, DestinationKeyId])
      expect(await last(KeyId)).toMatchObject({ Operation: 'ReEncrypt' })
  })

  it('counts neither what failed nor what was only tried', async () => {
    const KeyId = await newKeyArn()
    const Plaintext = Buffer.from('x')
    const sealed = await clients.alice.send(new EncryptCommand({ KeyId, Plaintext }))
    const { CiphertextBlob } = sealed
    const EncryptionContext = { another: 'context' }
    const failed = clients.alice.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))
    await refused(failed, 'InvalidCiphertextException')
    const dry = clients.alice.send(new DecryptCommand({ CiphertextBlob, DryRun: true }))
    await refused(dry, 'DryRunOperationException')
    expect(await last(KeyId)).toMatchObject({ KmsRequestId: sealed.$metadata.requestId })
  })

  it('answers in every state, of a key that is there, by its id or ARN', async () => {
    const KeyId = await newKeyArn()
    await clients.alice.send(new ScheduleKeyDeletionCommand({ KeyId }))
    expect(await last(KeyId)).toEqual({})
    await refused(usage(ABSENT), 'NotFoundException')
    await refused(usage('alias/a'), 'NotFoundException')
    const theirs = clients.mallory.send(new GetKeyLastUsageCommand({ KeyId: KeyId.split('/')[1] }))
    await refused(theirs, 'NotFoundException')
  })
})
