import { constants, createPublicKey, generateKeyPairSync, publicEncrypt } from 'node:crypto'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  type EncryptionAlgorithmSpec,
  GetPublicKeyCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

const EncryptionAlgorithm: EncryptionAlgorithmSpec = 'RSAES_OAEP_SHA_256'
const Plaintext = Buffer.from('for the owner of the key alone')

describe('who can write the store of the built program', () => {
  const home = newHome()
  let gateway: Gateway
  let kms: KMSClient

  const start = async () => {
    gateway = await startGateway({ home })
    kms = sdkClient(gateway.env, { maxAttempts: 1 })
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

  const newRsaKey = async () => {
    const input = { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' } as const
    const { KeyMetadata } = await kms.send(new CreateKeyCommand(input))
    return KeyMetadata?.KeyId ?? ''
  }
  const publicKeyOf = async (KeyId: string) => {
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }))
    return createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
  }
  const seal = async (KeyId: string) => {
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    return publicEncrypt({ key: await publicKeyOf(KeyId), ...oaep }, Plaintext)
  }
  const open = async (KeyId: string, CiphertextBlob: Uint8Array) => {
    const answer = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob, EncryptionAlgorithm }))
    return Buffer.from(answer.Plaintext ?? [])
  }

  it('has nothing encrypted for a key pair of their own, and does no harm to other keys with it', async () => {
    const [altered, other] = [await newRsaKey(), await newRsaKey()]
    const blob = await seal(other)
    await stop()
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    const store = new Database(join(home, 'store.sqlite'))
    store.prepare('update key_version set public_key = ? where key_id = ?').run(spki, altered)
    store.close()
    await start()
    const encrypt = new EncryptCommand({ KeyId: altered, Plaintext, EncryptionAlgorithm })
    const refused = { name: 'DependencyTimeoutException' }
    await expect(kms.send(encrypt)).rejects.toMatchObject(refused)
    await expect(publicKeyOf(altered)).rejects.toMatchObject(refused)
    // A number below any modulus, which opens to nothing.
    await expect(open(altered, Buffer.alloc(256))).rejects.toMatchObject(refused)
    expect(await open(other, blob)).toEqual(Plaintext)
    await vi.waitFor(() => expect(gateway.output()).toContain('The store was altered'), 5_000)
  }, 60_000)
})
