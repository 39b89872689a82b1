import { constants, createPublicKey, publicEncrypt, verify } from 'node:crypto'
import {
  CreateKeyCommand,
  DecryptCommand,
  DeriveSharedSecretCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  type KeySpec,
  type KeyUsageType,
  type KMSClient,
  ScheduleKeyDeletionCommand,
  SignCommand,
  VerifyCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

const Message = Buffer.from('attack at dawn')
const SigningAlgorithm = 'ECDSA_SHA_256'
const MacAlgorithm = 'HMAC_SHA_256'

describe('key pairs and MAC keys of the built program', () => {
  const home = newHome()
  let gateway: Gateway
  let kms: KMSClient

  const start = async () => {
    gateway = await startGateway({ home })
    kms = sdkClient(gateway.env)
  }
  const stop = async () => {
    kms.destroy()
    await gateway.stop()
  }
  beforeAll(start)
  afterAll(async () => {
    await stop()
    removeHome(home)
  })

  async function newKey(KeySpec: KeySpec, KeyUsage: KeyUsageType): Promise<string> {
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ KeySpec, KeyUsage }))
    return KeyMetadata?.KeyId ?? ''
  }
  async function publicKeyOf(KeyId: string) {
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }))
    return createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
  }

  it('work, and go on working after a restart', async () => {
    const [rsa, ec, hmac, agreement] = [
      await newKey('RSA_2048', 'ENCRYPT_DECRYPT'),
      await newKey('ECC_NIST_P256', 'SIGN_VERIFY'),
      await newKey('HMAC_256', 'GENERATE_VERIFY_MAC'),
      await newKey('ECC_NIST_P256', 'KEY_AGREEMENT'),
    ]
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const CiphertextBlob = publicEncrypt({ key: await publicKeyOf(rsa), ...oaep }, Message)
    const { Signature } = await kms.send(new SignCommand({ KeyId: ec, Message, SigningAlgorithm }))
    const { Mac } = await kms.send(new GenerateMacCommand({ KeyId: hmac, Message, MacAlgorithm }))
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId: ec }))
    const derive = () =>
      kms.send(new DeriveSharedSecretCommand({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }))
    const { SharedSecret } = await derive()
    await stop()
    await start()
    const opened = await kms.send(
      new DecryptCommand({ KeyId: rsa, CiphertextBlob, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }),
    )
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Message)
    expect(verify('sha256', Message, await publicKeyOf(ec), Buffer.from(Signature ?? []))).toBe(true)
    const valid = await kms.send(new VerifyCommand({ KeyId: ec, Message, Signature, SigningAlgorithm }))
    expect(valid.SignatureValid).toBe(true)
    const again = await kms.send(new SignCommand({ KeyId: ec, Message, SigningAlgorithm }))
    expect(verify('sha256', Message, await publicKeyOf(ec), Buffer.from(again.Signature ?? []))).toBe(true)
    const { MacValid } = await kms.send(new VerifyMacCommand({ KeyId: hmac, Message, Mac, MacAlgorithm }))
    expect(MacValid).toBe(true)
    expect((await derive()).SharedSecret).toEqual(SharedSecret)
    for (const KeyId of [rsa, ec, hmac, agreement])
      await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }))
    await expect(kms.send(new SignCommand({ KeyId: ec, Message, SigningAlgorithm }))).rejects.toMatchObject({
      name: 'KMSInvalidStateException',
    })
  })

  it('are made by several callers at a time, one after another', async () => {
    const ids = await Promise.all(Array.from({ length: 6 }, () => newKey('ECC_NIST_P384', 'SIGN_VERIFY')))
    const keys = await Promise.all(ids.map(publicKeyOf))
    expect(new Set(keys.map((key) => key.export({ type: 'spki', format: 'der' }).toString('hex'))).size).toBe(
      6,
    )
  })

  it('sign as Ed25519 and not as what SoftHSM cannot', async () => {
    const KeyId = await newKey('ECC_NIST_EDWARDS25519', 'SIGN_VERIFY')
    const { Signature } = await kms.send(
      new SignCommand({ KeyId, Message, SigningAlgorithm: 'ED25519_SHA_512' }),
    )
    expect(verify(null, Message, await publicKeyOf(KeyId), Buffer.from(Signature ?? []))).toBe(true)
    await expect(newKey('SM2', 'SIGN_VERIFY')).rejects.toMatchObject({
      name: 'UnsupportedOperationException',
      message: expect.stringContaining('CKM_SM2_KEY_PAIR_GEN'),
    })
  })
})
