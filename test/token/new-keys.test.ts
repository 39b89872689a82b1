import { createPublicKey, hash, verify } from 'node:crypto'
import { ed25519ph } from '@noble/curves/ed25519.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KeySpec } from '../../src/core/key-spec.ts'
import type { Kms } from '../../src/core/kms.ts'
import { ML_DSA_SETS, type MlDsaSetName } from '../../src/core/ml-dsa.ts'
import { inspect } from '../../src/providers/pkcs11/inspect/inspector.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { call, kmsOn } from '../support/kms-fixture.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
import { describeNewKeys, NEW_KEYS } from '../support/new-keys.ts'
import { muOf } from '../support/noble-signatures.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import { inOtherProcess, makeSoftHsm, type SoftHsm, settingsFor, startProvider } from '../support/softhsm.ts'

const SETS = Object.keys(ML_DSA_SETS) as MlDsaSetName[]
const MESSAGE = Buffer.from('to be signed')
const ML_DSA = { algorithm: 'ML_DSA_SHAKE_256', kind: 'message', message: MESSAGE } as const

/** Counts every object of the token. */
const COUNT = `
p11.C_FindObjectsInit(session, [])
output = p11.C_FindObjects(session, 100).length
p11.C_FindObjectsFinal(session)
`

describeNewKeys('keys of a token that knows ML-DSA and Ed25519ph', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  let store: MemoryKeyStore
  let kms: Kms

  async function connect(): Promise<void> {
    provider = await startProvider(settingsFor('new', { module: chaos.module }))
    ;({ kms } = kmsOn(store, provider))
  }
  beforeEach(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('new')
    chaos = makeChaos(softHsm)
    chaos.set(NEW_KEYS)
    store = new MemoryKeyStore()
    await connect()
  })
  afterEach(async () => {
    await provider?.close()
    softHsm.remove()
  })

  const objects = () => inOtherProcess('new', COUNT, {})
  async function newKey(spec: KeySpec) {
    const { keyId } = await kms.createKey(call(), { spec, usage: 'SIGN_VERIFY' })
    const key = { kind: 'id', keyId } as const
    const { publicKey: spki } = await kms.getPublicKey(call(), key)
    return { key, spki, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) }
  }

  it.each(SETS)('%s: signs what OpenSSL verifies, over a restart, until it is destroyed', async (spec) => {
    const { key, spki, publicKey } = await newKey(spec)
    expect(objects()).toBe(2)
    const { signature } = await kms.sign(call(), { key, ...ML_DSA })
    expect(verify(null, MESSAGE, publicKey, signature)).toBe(true)
    await provider.close()
    await connect()
    const again = await kms.sign(call(), { key, ...ML_DSA })
    expect(verify(null, MESSAGE, publicKey, again.signature)).toBe(true)
    const mu = { algorithm: 'ML_DSA_SHAKE_256', kind: 'mu', message: muOf(spki, MESSAGE) } as const
    const ofMu = await kms.sign(call(), { key, ...mu })
    expect(verify(null, MESSAGE, publicKey, ofMu.signature)).toBe(true)
    await kms.scheduleKeyDeletion(call(), key.keyId, 7)
    await expect(kms.sign(call(), { key, ...ML_DSA })).rejects.toMatchObject({ code: 'KEY_STATE_INVALID' })
    const [row] = await store.listKeysInState('PendingDeletion', { limit: 1 })
    const [version] = row?.versions ?? []
    const ref = { token: 'main', keyId: key.keyId, versionId: version?.versionId ?? '', versionNumber: 1 }
    await provider.destroyMasterKey({ ...ref, spec, usage: 'SIGN_VERIFY' }, { deadlineAt: Date.now() + 5000 })
    expect(objects()).toBe(0)
  })

  it('nothing of a private key crosses the boundary', async () => {
    chaos.trace()
    const { key } = await newKey('ML_DSA_44')
    await kms.sign(call(), { key, ...ML_DSA })
    const given = chaos
      .trace()
      .flatMap(({ buffers }) => buffers)
      .filter(({ direction, name }) => direction === 'out' && name === 'pTemplate.CKA_VALUE')
    expect(given.map(({ length }) => length)).toEqual([1312])
  })

  it('Ed25519ph is given out once it is proved, and Ed25519 goes on', async () => {
    const { key, spki, publicKey } = await newKey('ECC_NIST_EDWARDS25519')
    const digest = hash('sha512', MESSAGE, 'buffer')
    const prehash = { key, algorithm: 'ED25519_PH_SHA_512', kind: 'digest', message: digest } as const
    const { signature } = await kms.sign(call(), prehash)
    expect(ed25519ph.verify(signature, MESSAGE, spki.subarray(-32))).toBe(true)
    const pure = await kms.sign(call(), {
      key,
      algorithm: 'ED25519_SHA_512',
      kind: 'message',
      message: MESSAGE,
    })
    expect(verify(null, MESSAGE, publicKey, pure.signature)).toBe(true)
    chaos.set(['ed25519ph of-messages'])
    await expect(kms.sign(call(), prehash)).rejects.toThrow(
      'The token "main" makes no signatures of algorithm ED25519_PH_SHA_512 (CKM_EDDSA with phFlag): it hashes the digest once more.',
    )
  })

  it('the mechanisms are told by name, with what they are used for', async () => {
    const request = { path: chaos.module, criteria: { label: 'new' } }
    const { mechanisms } = await inspect('describeToken', request, {
      environment: chaos.env,
      callTimeoutMs: 20_000,
    })
    const used = mechanisms.filter(({ name }) => name.startsWith('CKM_ML_DSA'))
    expect(used.map(({ name, usedFor }) => [name, usedFor])).toEqual([
      ['CKM_ML_DSA', 'signs'],
      ['CKM_ML_DSA_EXTERNAL_MU', 'signs representatives of messages'],
      ['CKM_ML_DSA_KEY_PAIR_GEN', 'makes key pairs'],
    ])
  })

  describe('a token that makes the keys and', () => {
    it('does not sign with them leaves nothing', async () => {
      chaos.set([...NEW_KEYS, 'hide-mechanism CKM_ML_DSA'])
      await expect(newKey('ML_DSA_65')).rejects.toThrow(
        'The token "main" makes no signatures of algorithm ML_DSA_SHAKE_256 (CKM_ML_DSA).',
      )
      expect(objects()).toBe(0)
    })

    it('has no signatures of µ is named with the mechanism, and verifies them', async () => {
      const { key, spki } = await newKey('ML_DSA_65')
      chaos.set(['ml-dsa'])
      const mu = { key, algorithm: 'ML_DSA_SHAKE_256', kind: 'mu', message: muOf(spki, MESSAGE) } as const
      await expect(kms.sign(call(), mu)).rejects.toThrow(
        'The token "main" makes no signatures of algorithm ML_DSA_SHAKE_256 of EXTERNAL_MU (CKM_ML_DSA_EXTERNAL_MU).',
      )
      const { signature } = await kms.sign(call(), { key, ...ML_DSA })
      expect((await kms.verify(call(), { ...mu, signature })).keyId).toBe(key.keyId)
    })

    it('does not know the parameter set is named with the mechanism', async () => {
      chaos.set([...NEW_KEYS, 'fail C_GenerateKeyPair CKR_PARAMETER_SET_NOT_SUPPORTED'])
      await expect(newKey('ML_DSA_87')).rejects.toThrow(
        'The token "main" makes no key pair of spec ML_DSA_87 (CKM_ML_DSA_KEY_PAIR_GEN).',
      )
      expect(objects()).toBe(0)
    })
  })
})
