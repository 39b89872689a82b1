import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { tokenRef } from '../../../src/core/find-key.ts'
import type { KeyIdentifier, KeyUsage, MasterKey } from '../../../src/core/key.ts'
import { KeyDirectory } from '../../../src/core/key-directory.ts'
import type { Kms } from '../../../src/core/kms.ts'
import { PublicKeyProofs } from '../../../src/core/public-key-proofs.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

const OAEP = 'RSAES_OAEP_SHA_256'
const PKCS1 = 'RSASSA_PKCS1_V1_5_SHA_256'
const MESSAGE = Buffer.from('signed')
const OTHER = generateKeyPairSync('rsa', { modulusLength: 2048 })
const OTHER_SPKI = OTHER.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')

const named = ({ keyId }: MasterKey): KeyIdentifier => ({ kind: 'id', keyId })
const encrypt = (kms: Kms, key: MasterKey) =>
  kms.encrypt(call(), { key: named(key), algorithm: OAEP, plaintext: MESSAGE })
const decrypt = (kms: Kms, key: MasterKey, blob: Buffer) =>
  kms.decrypt(call(), { key: named(key), algorithm: OAEP, blob })
const verify = (kms: Kms, key: MasterKey, signature: Buffer) =>
  kms.verify(call(), { key: named(key), algorithm: PKCS1, kind: 'message', message: MESSAGE, signature })

function rsaFixture() {
  const fixture = kmsFixture()
  const { store, clock, kms, provider } = fixture
  const settings = { maxAgeMs: 1000, entriesMax: 100 }
  const newKey = (usage: KeyUsage) => kms.createKey(call(), { spec: 'RSA_2048', usage, waitMs: 0 })
  /** Another process, which finds this public key in the store. */
  const processWith = (publicKey?: string) => {
    const altered = (key: MasterKey): MasterKey =>
      publicKey === undefined
        ? key
        : { ...key, versions: key.versions.map((version) => ({ ...version, publicKey })) }
    const read = Object.create(store) as typeof store
    read.findKeyIdByVersion = (versionId) => store.findKeyIdByVersion(versionId)
    read.getKey = async (region, keyId) => {
      const key = await store.getKey(region, keyId)
      return key && altered(key)
    }
    return fixture.kmsWith(new KeyDirectory(read, clock, settings))
  }
  const asked = () => provider.calls.filter((name) => name === 'readPublicKey').length
  return { ...fixture, newKey, processWith, asked }
}

describe('public keys of the store', () => {
  it('are not used where the token has others', async () => {
    const { kms, newKey, processWith } = rsaFixture()
    const [cipher, signer] = [await newKey('ENCRYPT_DECRYPT'), await newKey('SIGN_VERIFY')]
    const { blob } = await encrypt(kms, cipher)
    const input = { key: named(signer), algorithm: PKCS1, kind: 'message', message: MESSAGE } as const
    const { signature } = await kms.sign(call(), input)
    const deceived = processWith(OTHER_SPKI)
    const aesKey = await kms.createKey(call(), {})
    const sealed = await kms.encrypt(call(), { key: named(aesKey), plaintext: MESSAGE })
    const moved = { blob: sealed.blob, destinationKey: named(cipher), destinationAlgorithm: OAEP }
    const refused = {
      Encrypt: () => encrypt(deceived, cipher),
      // Of zeros: a number below any modulus.
      Decrypt: () => decrypt(deceived, cipher, Buffer.alloc(256)),
      ReEncrypt: () => deceived.reEncrypt(call(), moved),
      GetPublicKey: () => deceived.getPublicKey(call(), named(signer)),
      Verify: () => verify(deceived, signer, signature),
    }
    for (const [name, attempt] of Object.entries(refused)) {
      const error = await attempt().catch((cause: unknown) => cause)
      expect(error, name).toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect((error as Error).message).toContain('The store was altered')
    }
    const right = processWith()
    expect((await decrypt(right, cipher, blob)).plaintext).toEqual(MESSAGE)
    expect((await verify(right, signer, signature)).keyId).toBe(signer.keyId)
  })

  it('are asked of the token once in a process, and never where it made them here', async () => {
    const { kms, provider, newKey, processWith, asked } = rsaFixture()
    const key = await newKey('ENCRYPT_DECRYPT')
    await encrypt(kms, key)
    await kms.getPublicKey(call(), named(key))
    expect(asked()).toBe(0)
    const other = processWith()
    const gone = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })
    const readPublicKey = provider.readPublicKey.bind(provider)
    provider.readPublicKey = () => Promise.reject(gone)
    await expect(encrypt(other, key)).rejects.toBe(gone)
    provider.readPublicKey = readPublicKey
    for (let times = 0; times < 3; times++) await encrypt(other, key)
    await other.getPublicKey(call(), named(key))
    expect(asked()).toBe(1)
    provider.readPublicKey = () => Promise.reject(gone)
    await encrypt(other, key)
  })

  it('are asked for again where the store comes to hold another one', async () => {
    const { store, provider, newKey } = rsaFixture()
    const proofs = new PublicKeyProofs({ provider, entriesMax: 2 })
    const { region, keyId } = await newKey('SIGN_VERIFY')
    const key = await store.getKey(region, keyId)
    const [version] = key?.versions ?? []
    if (!key || !version) throw new Error('the key is there')
    const require = (publicKey = version.publicKey) =>
      proofs.require(
        tokenRef(key, version),
        { ...version, ...(publicKey !== undefined && { publicKey }) },
        { deadlineAt: Date.now() + 1000 },
      )
    await require()
    await expect(require(OTHER_SPKI)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await require()
  })

  it('are remembered for so many versions', async () => {
    const { provider, store, newKey, asked } = rsaFixture()
    const proofs = new PublicKeyProofs({ provider, entriesMax: 2 })
    const keys = [await newKey('SIGN_VERIFY'), await newKey('SIGN_VERIFY'), await newKey('SIGN_VERIFY')]
    const require = async ({ region, keyId }: MasterKey) => {
      const key = await store.getKey(region, keyId)
      const [version] = key?.versions ?? []
      if (key && version)
        await proofs.require(tokenRef(key, version), version, { deadlineAt: Date.now() + 1000 })
    }
    for (const key of keys) await require(key)
    for (const key of keys.slice(1)) await require(key)
    expect(asked()).toBe(3)
    for (const key of keys.slice(0, 1)) await require(key)
    expect(asked()).toBe(4)
  })
})
