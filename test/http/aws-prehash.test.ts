import { createHash, createPublicKey, verify } from 'node:crypto'
import {
  CreateKeyCommand,
  EnableKeyRotationCommand,
  GetKeyRotationStatusCommand,
  GetPublicKeyCommand,
  type KeySpec,
  type KMSClient,
  KMSInvalidSignatureException,
  RotateKeyOnDemandCommand,
  SignCommand,
  UnsupportedOperationException,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { ed25519ph } from '@noble/curves/ed25519.js'
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NODE_NAMES_ML_DSA, OPENSSL_KNOWS_ML_DSA } from '../support/new-keys.ts'
import { muOf } from '../support/noble-signatures.ts'
import { sdkFixture } from './sdk-fixture.ts'

const MESSAGE = Buffer.from('attack at dawn')
const flipped = (bytes: Uint8Array) => Buffer.from(bytes).fill((bytes[40] ?? 0) ^ 1, 40, 41)

/** The unmodified SDK, on a token that knows ML-DSA and Ed25519ph. */
const fixture = sdkFixture()
let client: KMSClient

beforeAll(() => {
  client = fixture.clients.alice
})
beforeEach(() => {
  fixture.provider.phFlag = 'honoured'
  fixture.provider.hashesMu = false
})

async function newKey(KeySpec: KeySpec) {
  const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: 'SIGN_VERIFY' }))
  const KeyId = KeyMetadata?.KeyId ?? ''
  const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }))
  return { KeyId, spki: Buffer.from(PublicKey ?? []) }
}

describe('ED25519_PH_SHA_512', () => {
  const digest = createHash('sha512').update(MESSAGE).digest()
  const ofDigest = {
    Message: digest,
    MessageType: 'DIGEST',
    SigningAlgorithm: 'ED25519_PH_SHA_512',
  } as const

  it('is Ed25519ph of the message that was hashed, with an empty context', async () => {
    const { KeyId, spki } = await newKey('ECC_NIST_EDWARDS25519')
    const { Signature = Buffer.of() } = await client.send(new SignCommand({ KeyId, ...ofDigest }))
    expect(ed25519ph.verify(Signature, MESSAGE, spki.subarray(-32))).toBe(true)
    const verified = await client.send(new VerifyCommand({ KeyId, ...ofDigest, Signature }))
    expect(verified).toMatchObject({ SignatureValid: true, SigningAlgorithm: 'ED25519_PH_SHA_512' })
    for (const wrong of [
      { Signature: flipped(Signature) },
      { Signature: Signature.subarray(1) },
      { Signature: Buffer.alloc(6144, 1) },
      { Signature, Message: flipped(digest) },
    ]) {
      const refused = client.send(new VerifyCommand({ KeyId, ...ofDigest, ...wrong }))
      await expect(refused).rejects.toThrow(KMSInvalidSignatureException)
    }
  })

  it('is verified whatever the token can', async () => {
    const { KeyId } = await newKey('ECC_NIST_EDWARDS25519')
    const { Signature } = await client.send(new SignCommand({ KeyId, ...ofDigest }))
    fixture.provider.phFlag = 'ignored'
    const verified = await client.send(new VerifyCommand({ KeyId, ...ofDigest, Signature }))
    expect(verified.SignatureValid).toBe(true)
    const pure = { KeyId, Message: digest, SigningAlgorithm: 'ED25519_SHA_512' } as const
    const { Signature: plain } = await client.send(new SignCommand(pure))
    const refused = client.send(new VerifyCommand({ KeyId, ...ofDigest, Signature: plain }))
    await expect(refused).rejects.toThrow(KMSInvalidSignatureException)
  })

  it.each([
    ['ignored', 'it leaves the flag out of account and signs plain Ed25519'],
    ['hashed again', 'it hashes the digest once more'],
  ] as const)('of a token by which the flag is %s is not given out', async (way, why) => {
    const { KeyId } = await newKey('ECC_NIST_EDWARDS25519')
    fixture.provider.phFlag = way
    const refused = await client.send(new SignCommand({ KeyId, ...ofDigest })).catch((error) => error)
    expect(refused).toBeInstanceOf(UnsupportedOperationException)
    expect(refused.message).toBe(
      `The token "main" makes no signatures of algorithm ED25519_PH_SHA_512 (CKM_EDDSA with phFlag): ${why}.`,
    )
  })
})

const VERIFIERS = { ML_DSA_44: ml_dsa44, ML_DSA_65: ml_dsa65, ML_DSA_87: ml_dsa87 }
const SETS = Object.keys(VERIFIERS) as (keyof typeof VERIFIERS)[]
const nodeName = (spec: string) => spec.toLowerCase().replaceAll('_', '-')

describe('ML_DSA_SHAKE_256', () => {
  const SigningAlgorithm = 'ML_DSA_SHAKE_256'

  it.each(SETS)('of a key %s is ML-DSA of the message with an empty context', async (spec) => {
    const { KeyId, spki } = await newKey(spec)
    const publicKey = spki.subarray(22)
    for (const Message of [Buffer.of(7), MESSAGE, Buffer.alloc(4096, 9)]) {
      const input = { KeyId, Message, SigningAlgorithm } as const
      const { Signature = Buffer.of() } = await client.send(new SignCommand(input))
      expect(VERIFIERS[spec].verify(Signature, Message, publicKey)).toBe(true)
      const { SignatureValid } = await client.send(new VerifyCommand({ ...input, Signature }))
      expect(SignatureValid).toBe(true)
      for (const wrong of [
        { Signature: flipped(Signature) },
        { Signature: Signature.subarray(1) },
        { Signature, Message: Buffer.concat([Message, Buffer.of(1)]).subarray(1) },
      ]) {
        const refused = client.send(new VerifyCommand({ ...input, ...wrong }))
        await expect(refused).rejects.toThrow(KMSInvalidSignatureException)
      }
    }
  })

  it.each(SETS)(
    'of a key %s signs µ in place of its message, and each is verified as the other',
    async (spec) => {
      const { KeyId, spki } = await newKey(spec)
      const ofMu = {
        KeyId,
        SigningAlgorithm,
        MessageType: 'EXTERNAL_MU',
        Message: muOf(spki, MESSAGE),
      } as const
      const ofMessage = { KeyId, SigningAlgorithm, Message: MESSAGE } as const
      for (const input of [ofMu, ofMessage]) {
        const { Signature } = await client.send(new SignCommand(input))
        for (const other of [ofMu, ofMessage]) {
          const { SignatureValid } = await client.send(new VerifyCommand({ ...other, Signature }))
          expect(SignatureValid).toBe(true)
        }
        const wrong = { ...ofMu, Message: Buffer.alloc(64), Signature }
        await expect(client.send(new VerifyCommand(wrong))).rejects.toThrow(KMSInvalidSignatureException)
      }
    },
  )

  it('of a token that takes µ for a message is not given out', async () => {
    const { KeyId, spki } = await newKey('ML_DSA_44')
    const ofMu = {
      KeyId,
      SigningAlgorithm,
      MessageType: 'EXTERNAL_MU',
      Message: muOf(spki, MESSAGE),
    } as const
    fixture.provider.hashesMu = true
    const refused = await client.send(new SignCommand(ofMu)).catch((error) => error)
    expect(refused).toBeInstanceOf(UnsupportedOperationException)
    expect(refused.message).toBe(
      'The token "main" makes no signatures of algorithm ML_DSA_SHAKE_256 of EXTERNAL_MU (CKM_ML_DSA_EXTERNAL_MU): its signature does not verify.',
    )
  })

  it('of keys that are not rotated, as other key pairs are not', async () => {
    const { KeyId } = await newKey('ML_DSA_44')
    const { KeyRotationEnabled } = await client.send(new GetKeyRotationStatusCommand({ KeyId }))
    expect(KeyRotationEnabled).toBe(false)
    const enabling = client.send(new EnableKeyRotationCommand({ KeyId }))
    await expect(enabling).rejects.toThrow(UnsupportedOperationException)
    const rotating = client.send(new RotateKeyOnDemandCommand({ KeyId }))
    await expect(rotating).rejects.toThrow(UnsupportedOperationException)
  })

  it('takes µ of 64 bytes alone, and no digest', async () => {
    const { KeyId } = await newKey('ML_DSA_44')
    for (const length of [1, 63, 65]) {
      const input = {
        KeyId,
        SigningAlgorithm,
        Message: Buffer.alloc(length),
        MessageType: 'EXTERNAL_MU',
      } as const
      await expect(client.send(new SignCommand(input))).rejects.toThrow(
        'Digest is invalid length for algorithm ML_DSA_SHAKE_256.',
      )
    }
    const digest = { KeyId, SigningAlgorithm, Message: Buffer.alloc(64), MessageType: 'DIGEST' } as const
    await expect(client.send(new SignCommand(digest))).rejects.toThrow(
      'Algorithm ML_DSA_SHAKE_256 requires MessageType RAW or EXTERNAL_MU.',
    )
  })

  it.runIf(OPENSSL_KNOWS_ML_DSA).each(SETS)('of a key %s is what OpenSSL says, both ways', async (spec) => {
    const { KeyId, spki } = await newKey(spec)
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    if (NODE_NAMES_ML_DSA) expect(publicKey.asymmetricKeyType).toBe(nodeName(spec))
    expect(publicKey.export({ format: 'der', type: 'spki' })).toEqual(spki)
    const input = { KeyId, Message: MESSAGE, SigningAlgorithm } as const
    const { Signature } = await client.send(new SignCommand(input))
    expect(verify(null, MESSAGE, publicKey, Buffer.from(Signature ?? []))).toBe(true)
  })
})
