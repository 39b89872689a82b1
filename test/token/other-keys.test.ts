import { constants, createHmac, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HASH_BYTES, MAC_ALGORITHMS, type MacAlgorithm } from '../../src/core/key-spec.ts'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { objectId, objectLabel } from '../../src/providers/pkcs11/object-names.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { bringInPair, newPair } from '../support/copied-keys.ts'
import { call, kmsOn } from '../support/kms-fixture.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  freshRef,
  inOtherProcess,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const LABEL = 'others'
const DIGEST = Buffer.alloc(32, 7)
const PAIR_MS = 90_000
const oaep = (oaepHash: string) => ({ padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash })
/** A call that has the time for a key pair. */
const longCall = () => ({ ...call(), deadlineAt: Date.now() + PAIR_MS })

/** For rules of p11chaos, which may not know every name. */
const NUMBERS = {
  CKM_RSA_PKCS_KEY_PAIR_GEN: '0x0',
  CKM_RSA_X_509: '0x3',
  CKM_RSA_PKCS_OAEP: '0x9',
  CKM_RSA_PKCS_PSS: '0xd',
  CKM_SHA256_HMAC: '0x251',
  CKM_EC_KEY_PAIR_GEN: '0x1040',
  CKM_ECDSA: '0x1041',
  CKM_ECDH1_DERIVE: '0x1050',
  CKM_EDDSA: '0x1057',
}

/** Makes the secret of a MAC key of known bytes. */
const IMPORT = `
p11.C_CreateObject(session, [
  ...Object.entries({ 0: 4, 0x100: 0x10, 1: true, 2: true, 0x103: true, 0x162: false, 0x108: true }).map(([type, value]) => ({ type: Number(type), value })),
  { type: 0x11, value: Buffer.from(input.value, 'hex') },
  { type: 3, value: input.label },
  { type: 0x102, value: Buffer.from(input.id, 'hex') },
])
`

/** Counts every object of the token. */
const COUNT = `
p11.C_FindObjectsInit(session, [])
output = p11.C_FindObjects(session, 100).length
p11.C_FindObjectsFinal(session)
`

const DESTROY = `
p11.C_FindObjectsInit(session, [{ type: 0x102, value: Buffer.from(input.id, 'hex') }])
for (const handle of p11.C_FindObjects(session, 10)) p11.C_DestroyObject(session, handle)
p11.C_FindObjectsFinal(session)
`

describeWith([SOFTHSM_MODULE], 'key pairs and MAC keys of SoftHSM', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider

  beforeEach(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken(LABEL)
    chaos = makeChaos(softHsm)
    provider = await startProvider(settingsFor(LABEL, { module: chaos.module }))
  })
  afterEach(async () => {
    chaos.clear()
    await provider?.close()
    softHsm.remove()
  })

  const refOf = (spec: NonNullable<MasterKeyRef['spec']>, usage: NonNullable<MasterKeyRef['usage']>) => ({
    ...freshRef(),
    spec,
    usage,
  })
  const objects = () => inOtherProcess(LABEL, COUNT, {})
  const make = async (ref: MasterKeyRef): Promise<Buffer> =>
    (await provider.createMasterKey(ref, within(PAIR_MS))).publicKey ?? Buffer.alloc(0)

  it.each(Object.entries(MAC_ALGORITHMS))('%s is what Node makes of the same secret', async (name, row) => {
    const ref = refOf(`HMAC_${name.slice(-3)}` as 'HMAC_256', 'GENERATE_VERIFY_MAC')
    const value = randomBytes(HASH_BYTES[row.hash])
    const names = { id: objectId(ref, 'mac').toString('hex'), label: objectLabel(ref, 'mac') }
    inOtherProcess(LABEL, IMPORT, { ...names, value: value.toString('hex') })
    for (const length of [1, 64, 200, 4096]) {
      const message = randomBytes(length)
      const expected = createHmac(row.hash, value).update(message).digest()
      expect(await provider.mac(ref, name as MacAlgorithm, message, within())).toEqual(expected)
    }
    // It was not made in the token, so it is nobody's to rely on.
    expect(await provider.findMasterKey(ref, within())).toBe('altered')
  })

  describe('a token that cannot', () => {
    it.each([
      ['RSA_2048', 'SIGN_VERIFY', 'CKM_RSA_PKCS_KEY_PAIR_GEN'],
      ['RSA_2048', 'SIGN_VERIFY', 'CKM_RSA_PKCS_PSS'],
      ['RSA_2048', 'ENCRYPT_DECRYPT', 'CKM_RSA_X_509'],
      ['ECC_NIST_P256', 'SIGN_VERIFY', 'CKM_EC_KEY_PAIR_GEN'],
      ['ECC_NIST_P256', 'SIGN_VERIFY', 'CKM_ECDSA'],
      ['ECC_NIST_P256', 'KEY_AGREEMENT', 'CKM_ECDH1_DERIVE'],
      ['ECC_NIST_EDWARDS25519', 'SIGN_VERIFY', 'CKM_EDDSA'],
      ['HMAC_256', 'GENERATE_VERIFY_MAC', 'CKM_SHA256_HMAC'],
    ] as const)(
      'make or use %s for %s, for want of %s, is told so, and nothing is left',
      async (spec, usage, mechanism) => {
        const { kms, store } = kmsOn(new MemoryKeyStore(), provider)
        chaos.set(`hide-mechanism ${NUMBERS[mechanism]}`)
        const error = await kms.createKey(longCall(), { spec, usage }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'UNSUPPORTED' })
        expect(String(error)).toMatch(new RegExp(`The token "main" .*${mechanism}`))
        chaos.clear()
        expect(objects()).toBe(0)
        for (const state of ['Creating', 'Deleting', 'Enabled'] as const)
          expect(await store.listKeysInState(state, { limit: 9 })).toEqual([])
      },
    )

    it('stumbles once, and the key is made', async () => {
      chaos.set('fail C_GenerateKeyPair CKR_GENERAL_ERROR times=1')
      const ref = refOf('ECC_NIST_P256', 'SIGN_VERIFY')
      expect(await make(ref)).not.toHaveLength(0)
      expect(await provider.findMasterKey(ref, within())).toBe('present')
      expect(objects()).toBe(2)
    })

    it('is broken, and that is no inability', async () => {
      chaos.set(['fail C_GenerateKeyPair CKR_GENERAL_ERROR', 'fail C_GenerateKey CKR_DEVICE_ERROR'])
      const made = make(refOf('ECC_NIST_P256', 'SIGN_VERIFY'))
      await expect(made).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    })
  })

  describe('RSA decryption', () => {
    it('is by the token alone where it takes the padding off, and by both where it does not', async () => {
      const ref = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      const spki = await make(ref)
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      const [one, two] = ['sha1', 'sha256'].map((name) => publicEncrypt({ key, ...oaep(name) }, DIGEST))
      const decrypt = async (hash: 1 | 256, ciphertext = hash === 1 ? one : two) => {
        chaos.trace()
        const algorithm = `RSAES_OAEP_SHA_${hash}` as const
        const outcome = await provider
          .decryptRsa(ref, algorithm, ciphertext ?? DIGEST, spki, within())
          .catch((error: { code: string }) => error.code)
        return { outcome, calls: chaos.trace().map((traced) => `${traced.function} ${traced.mechanism}`) }
      }
      for (const hash of [1, 256] as const) await decrypt(hash)
      const callsOf = (mechanism: string) =>
        ['C_DecryptInit', 'C_Decrypt'].map((name) => `${name} ${mechanism}`)
      expect(await decrypt(1)).toEqual({ outcome: DIGEST, calls: callsOf('CKM_RSA_PKCS_OAEP') })
      expect(await decrypt(256)).toEqual({ outcome: DIGEST, calls: callsOf('CKM_RSA_X_509') })

      // Whatever is wrong with a ciphertext, the token is asked the same.
      const raw = (bytes: Buffer) => publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, bytes)
      const forgeries = [
        raw(Buffer.alloc(256, 1)),
        raw(Buffer.concat([Buffer.alloc(1), randomBytes(255)])),
        raw(Buffer.concat([Buffer.of(0, 2), randomBytes(254)])),
        raw(Buffer.concat([Buffer.alloc(255), Buffer.of(1)])),
        Buffer.concat([Buffer.alloc(255), Buffer.of(1)]),
        Buffer.alloc(256),
        publicEncrypt({ key, ...oaep('sha512') }, DIGEST),
        publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, DIGEST),
      ]
      for (const hash of [1, 256] as const) {
        const seen = new Set<string>()
        for (const forged of forgeries) seen.add(JSON.stringify(await decrypt(hash, forged)))
        expect([...seen], `${hash}`).toHaveLength(1)
        expect([...seen][0]).toContain('"outcome":"CIPHERTEXT_INVALID"')
      }
      const before = provider.status()
      for (const forged of forgeries) await decrypt(1, forged)
      expect(provider.status()).toMatchObject({
        generation: before.generation,
        sessionsDiscarded: before.sessionsDiscarded,
      })
    })

    it('goes on by raw RSA on a token that takes no padding off', async () => {
      chaos.set(`hide-mechanism ${NUMBERS.CKM_RSA_PKCS_OAEP}`)
      const ref = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      const spki = await make(ref)
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      const ciphertext = publicEncrypt({ key, ...oaep('sha1') }, DIGEST)
      expect(await provider.decryptRsa(ref, 'RSAES_OAEP_SHA_1', ciphertext, spki, within())).toEqual(DIGEST)
    })

    it('is proved of each key, also where another has shown how the token decrypts', async () => {
      const [first, second] = [newPair('RSA_2048'), newPair('RSA_2048')]
      const good = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      bringInPair(LABEL, good, first)
      expect(await provider.readPublicKey(good, within())).toEqual(
        first.publicKey.export({ type: 'spki', format: 'der' }),
      )
      const forged = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      bringInPair(LABEL, forged, { publicKey: first.publicKey, privateKey: second.privateKey })
      const { generation } = provider.status()
      await expect(provider.readPublicKey(forged, within())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      // It is the pair that is wrong, not the device.
      expect(provider.status()).toMatchObject({ state: 'up', generation })
    })

    it('is by the token all the same where it stumbled once when it was tried', async () => {
      const ref = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      const spki = await make(ref)
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      const ciphertext = publicEncrypt({ key, ...oaep('sha1') }, DIGEST)
      const decrypt = () => provider.decryptRsa(ref, 'RSAES_OAEP_SHA_1', ciphertext, spki, within())
      // A lane that has not decrypted yet: the key was made by another.
      chaos.set('fail C_Decrypt CKR_GENERAL_ERROR times=1')
      expect(await decrypt()).toEqual(DIGEST)
      chaos.trace()
      expect(await decrypt()).toEqual(DIGEST)
      const mechanisms = chaos.trace().filter((traced) => traced.function === 'C_Decrypt')
      expect(mechanisms.map(({ mechanism }) => mechanism)).toEqual(['CKM_RSA_PKCS_OAEP'])
    })

    it('blames the device, not the ciphertext, when nothing can be decrypted', async () => {
      const ref = refOf('RSA_2048', 'ENCRYPT_DECRYPT')
      const spki = await make(ref)
      const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
      const ciphertext = publicEncrypt({ key, ...oaep('sha1') }, DIGEST)
      const decrypt = () => provider.decryptRsa(ref, 'RSAES_OAEP_SHA_1', ciphertext, spki, within())
      expect(await decrypt()).toEqual(DIGEST)
      chaos.set('fail C_Decrypt CKR_GENERAL_ERROR mechanism=CKM_RSA_PKCS_OAEP')
      await expect(decrypt()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    })
  })

  describe('signing', () => {
    it.each(['sessions-drop keep-login', 'handles-stale', 'fail C_SignInit CKR_OPERATION_ACTIVE times=1'])(
      'survives %s',
      async (rule) => {
        const ref = refOf('ECC_NIST_P256', 'SIGN_VERIFY')
        await make(ref)
        const sign = () => provider.sign(ref, 'ECDSA_SHA_256', DIGEST, within())
        await sign()
        chaos.set(rule)
        expect(await sign()).toHaveLength(64)
        expect(await sign()).toHaveLength(64)
      },
    )

    it('leaves no session with an operation open', async () => {
      const ref = refOf('ECC_NIST_P256', 'SIGN_VERIFY')
      await make(ref)
      chaos.set('fail C_Sign CKR_DATA_LEN_RANGE times=1')
      const before = provider.status().sessionsDiscarded
      const sign = () => provider.sign(ref, 'ECDSA_SHA_256', DIGEST, within())
      await sign().catch(() => undefined)
      expect(provider.status().sessionsDiscarded).toBe(before + 1)
      expect(await sign()).toHaveLength(64)
    })
  })

  describe('a creation that was cut short', () => {
    /** Dies between the token and the second row. */
    async function cutShort(
      spec: 'RSA_2048' | 'ECC_NIST_P384' | 'HMAC_256',
      usage: 'SIGN_VERIFY' | 'GENERATE_VERIFY_MAC',
    ) {
      const fixture = kmsOn(new MemoryKeyStore(), provider)
      const { kms, store } = fixture
      const replaceKey = store.replaceKey.bind(store)
      store.replaceKey = () => Promise.reject(new Error('the process died here'))
      await expect(kms.createKey(longCall(), { spec, usage })).rejects.toThrow('the process died here')
      store.replaceKey = replaceKey
      const [left] = await store.listKeysInState('Creating', { limit: 2 })
      const [version] = left?.versions ?? []
      if (!left || !version) throw new Error('the creation left no row')
      const name = { keyId: left.keyId, versionId: version.versionId, versionNumber: 1 }
      return { ...fixture, left, name }
    }

    it.each([
      ['RSA_2048', 'SIGN_VERIFY'],
      ['ECC_NIST_P384', 'SIGN_VERIFY'],
      ['HMAC_256', 'GENERATE_VERIFY_MAC'],
    ] as const)('is finished, the public key of %s read again', async (spec, usage) => {
      const { kms, maintenance, clock, left } = await cutShort(spec, usage)
      expect(left.versions[0]).not.toHaveProperty('publicKey')
      expect(await maintenance.run(clock.now() + 1)).toMatchObject({ finished: 1, failed: 0 })
      const key = { kind: 'id', keyId: left.keyId } as const
      const message = Buffer.from('message')
      if (usage === 'GENERATE_VERIFY_MAC') {
        const { mac } = await kms.generateMac(call(), { key, algorithm: 'HMAC_SHA_256', message })
        expect(mac).toHaveLength(32)
        return
      }
      const algorithm = spec === 'RSA_2048' ? 'RSASSA_PSS_SHA_512' : 'ECDSA_SHA_384'
      const { signature } = await kms.sign(call(), { key, algorithm, kind: 'message', message })
      await kms.verify(call(), { key, algorithm, kind: 'message', message, signature })
    })

    it.each(['priv', 'pub'] as const)('is rolled back where the object %s is missing', async (role) => {
      const { maintenance, clock, name } = await cutShort('ECC_NIST_P384', 'SIGN_VERIFY')
      inOtherProcess(LABEL, DESTROY, { id: objectId(name, role).toString('hex') })
      expect(await maintenance.run(clock.now() + 1)).toMatchObject({ rolledBack: 1, failed: 0 })
      expect(objects()).toBe(0)
    })
  })
})
