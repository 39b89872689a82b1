import {
  constants,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  verify,
} from 'node:crypto'
import {
  CreateKeyCommand,
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  DisabledException,
  DisableKeyCommand,
  EncryptCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  InvalidCiphertextException,
  InvalidKeyUsageException,
  type KeySpec,
  type KeyUsageType,
  KMSClient,
  KMSInvalidMacException,
  KMSInvalidSignatureException,
  NotFoundException,
  ReEncryptCommand,
  SignCommand,
  UnsupportedOperationException,
  VerifyCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'

const Message = Buffer.from('attack at dawn')
const Plaintext = Buffer.from('a secret')

describe('the unmodified @aws-sdk/client-kms, with keys that are not symmetric', () => {
  const fixture = awsFixture()
  let client: KMSClient

  beforeAll(async () => {
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    client = new KMSClient({ endpoint, region: 'us-east-1', credentials: { ...ALICE_KEY }, maxAttempts: 1 })
  })
  afterAll(async () => {
    client.destroy()
    await fixture.server.close()
  })

  async function newKey(KeySpec: KeySpec, KeyUsage: KeyUsageType): Promise<string> {
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage }))
    return KeyMetadata?.Arn ?? ''
  }
  async function publicKeyOf(KeyId: string) {
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }))
    return createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
  }

  it('signs messages and digests, and verifies', async () => {
    const KeyId = await newKey('ECC_NIST_P256', 'SIGN_VERIFY')
    const named = { KeyId, SigningAlgorithm: 'ECDSA_SHA_256' } as const
    const signed = await client.send(new SignCommand({ ...named, Message }))
    expect(signed).toMatchObject(named)
    const Signature = Buffer.from(signed.Signature ?? [])
    expect(verify('sha256', Message, await publicKeyOf(KeyId), Signature)).toBe(true)
    const digest = { Message: createHash('sha256').update(Message).digest(), MessageType: 'DIGEST' } as const
    const verified = await client.send(new VerifyCommand({ ...named, ...digest, Signature }))
    expect(verified).toMatchObject({ ...named, SignatureValid: true })
    const other = client.send(new VerifyCommand({ ...named, Message: Plaintext, Signature }))
    await expect(other).rejects.toThrow(KMSInvalidSignatureException)
    await expect(
      client.send(new SignCommand({ ...named, Message, SigningAlgorithm: 'ECDSA_SHA_384' })),
    ).rejects.toThrow(InvalidKeyUsageException)
    const long = client.send(new SignCommand({ ...named, Message, MessageType: 'DIGEST' }))
    await expect(long).rejects.toMatchObject({
      name: 'ValidationException',
      message: 'Digest is invalid length for algorithm ECDSA_SHA_256.',
    })
    await client.send(new DisableKeyCommand({ KeyId }))
    await expect(client.send(new SignCommand({ ...named, Message }))).rejects.toThrow(DisabledException)
    const absent = { ...named, KeyId: 'alias/absent', Message }
    await expect(client.send(new SignCommand(absent))).rejects.toThrow(NotFoundException)
  })

  it('encrypts with RSA and opens it, and what others encrypted with the public key', async () => {
    const KeyId = await newKey('RSA_2048', 'ENCRYPT_DECRYPT')
    const named = { KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const
    const sealed = await client.send(new EncryptCommand({ ...named, Plaintext }))
    expect(sealed).toMatchObject(named)
    const own = await client.send(new DecryptCommand({ ...named, CiphertextBlob: sealed.CiphertextBlob }))
    expect(Buffer.from(own.Plaintext ?? [])).toEqual(Plaintext)
    expect(own).not.toHaveProperty('KeyMaterialId')
    const key = {
      key: await publicKeyOf(KeyId),
      padding: constants.RSA_PKCS1_OAEP_PADDING,
      oaepHash: 'sha256',
    }
    const CiphertextBlob = publicEncrypt(key, Plaintext)
    const theirs = await client.send(new DecryptCommand({ ...named, CiphertextBlob }))
    expect(Buffer.from(theirs.Plaintext ?? [])).toEqual(Plaintext)
    const destination = await newKey('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
    const moved = await client.send(
      new ReEncryptCommand({
        CiphertextBlob,
        SourceKeyId: KeyId,
        SourceEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
        DestinationKeyId: destination,
      }),
    )
    expect(moved).toMatchObject({ SourceKeyId: KeyId, KeyId: destination })
    const forged = { ...named, CiphertextBlob: Buffer.alloc(256, 1) }
    await expect(client.send(new DecryptCommand(forged))).rejects.toThrow(InvalidCiphertextException)
    const unnamed = { EncryptionAlgorithm: 'RSAES_OAEP_SHA_256', CiphertextBlob } as const
    await expect(client.send(new DecryptCommand(unnamed))).rejects.toThrow(InvalidCiphertextException)
    const context = { ...named, Plaintext, EncryptionContext: { a: 'b' } }
    await expect(client.send(new EncryptCommand(context))).rejects.toMatchObject({
      name: 'ValidationException',
    })
  })

  it('makes MACs and verifies them', async () => {
    const KeyId = await newKey('HMAC_384', 'GENERATE_VERIFY_MAC')
    const named = { KeyId, MacAlgorithm: 'HMAC_SHA_384', Message } as const
    const { Mac } = await client.send(new GenerateMacCommand(named))
    expect(Mac).toHaveLength(48)
    const verified = await client.send(new VerifyMacCommand({ ...named, Mac }))
    expect(verified).toMatchObject({ KeyId, MacAlgorithm: 'HMAC_SHA_384', MacValid: true })
    const other = client.send(new VerifyMacCommand({ ...named, Mac, Message: Plaintext }))
    await expect(other).rejects.toThrow(KMSInvalidMacException)
    const wrong = { ...named, MacAlgorithm: 'HMAC_SHA_512' } as const
    await expect(client.send(new GenerateMacCommand(wrong))).rejects.toThrow(InvalidKeyUsageException)
    const usage = client.send(new SignCommand({ KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' }))
    await expect(usage).rejects.toThrow(
      `${KeyId} key usage is GENERATE_VERIFY_MAC which is not valid for Sign.`,
    )
  })

  it('agrees on a secret', async () => {
    const KeyId = await newKey('ECC_NIST_P384', 'KEY_AGREEMENT')
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const derive = (PublicKey: Buffer) =>
      client.send(new DeriveSharedSecretCommand({ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey }))
    const made = await derive(pair.publicKey.export({ type: 'spki', format: 'der' }))
    expect(made).toMatchObject({ KeyId, KeyAgreementAlgorithm: 'ECDH', KeyOrigin: 'AWS_KMS' })
    const expected = diffieHellman({ privateKey: pair.privateKey, publicKey: await publicKeyOf(KeyId) })
    expect(Buffer.from(made.SharedSecret ?? [])).toEqual(expected)
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    await expect(derive(other.export({ type: 'spki', format: 'der' }))).rejects.toMatchObject({
      name: 'ValidationException',
    })
  })

  it('describes them, and is told what cannot be made', async () => {
    const KeyId = await newKey('ECC_NIST_EDWARDS25519', 'SIGN_VERIFY')
    const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }))
    expect(KeyMetadata).toMatchObject({
      KeySpec: 'ECC_NIST_EDWARDS25519',
      CustomerMasterKeySpec: 'ECC_NIST_EDWARDS25519',
      KeyUsage: 'SIGN_VERIFY',
      SigningAlgorithms: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'],
    })
    expect(KeyMetadata).not.toHaveProperty('CurrentKeyMaterialId')
    await expect(newKey('SM2', 'SIGN_VERIFY')).rejects.toThrow(UnsupportedOperationException)
    const none = client.send(
      new GetPublicKeyCommand({ KeyId: await newKey('HMAC_224', 'GENERATE_VERIFY_MAC') }),
    )
    await expect(none).rejects.toThrow(UnsupportedOperationException)
  })
})
