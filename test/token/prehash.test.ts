import { createPublicKey, hash, verify } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { isKmsError } from '../../src/core/errors.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { call, kmsOn } from '../support/kms-fixture.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
} from '../support/softhsm.ts'

const MESSAGE = Buffer.from('hashed before it is signed')
const DIGEST = hash('sha512', MESSAGE, 'buffer')
const CKM_EDDSA = '0x1057'
const CANNOT = 'The token "main" makes no signatures of algorithm ED25519_PH_SHA_512 (CKM_EDDSA with phFlag)'

describeWith([SOFTHSM_MODULE], 'Ed25519ph on SoftHSM', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider

  beforeEach(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('prehash')
    chaos = makeChaos(softHsm)
    provider = await startProvider(settingsFor('prehash', { module: chaos.module }))
  })
  afterEach(async () => {
    chaos.clear()
    await provider?.close()
    softHsm.remove()
  })

  async function edwardsKey() {
    const { kms } = kmsOn(new MemoryKeyStore(), provider)
    const { keyId } = await kms.createKey(call(), { spec: 'ECC_NIST_EDWARDS25519', usage: 'SIGN_VERIFY' })
    const key = { kind: 'id', keyId } as const
    const prehash = () =>
      kms.sign(call(), { key, algorithm: 'ED25519_PH_SHA_512', kind: 'digest', message: DIGEST })
    const pure = () =>
      kms.sign(call(), { key, algorithm: 'ED25519_SHA_512', kind: 'message', message: MESSAGE })
    const { publicKey } = await kms.getPublicKey(call(), key)
    return { prehash, pure, publicKey }
  }

  it('is asked for by the flag, and what comes instead is not given out', async () => {
    const { prehash } = await edwardsKey()
    chaos.trace()
    await expect(prehash()).rejects.toThrow(
      `${CANNOT}: it leaves the flag out of account and signs plain Ed25519.`,
    )
    const [asked] = chaos.trace().filter(({ function: name }) => name === 'C_SignInit')
    const parameter = asked?.buffers.find(
      ({ name }) => name.startsWith('pMechanism') || name.startsWith('pParameter'),
    )
    // CK_EDDSA_PARAMS: phFlag, padding, no context.
    expect(parameter?.hex).toBe(`01${'00'.repeat(23)}`)
  })

  it.each(['CKR_MECHANISM_PARAM_INVALID', 'CKR_ARGUMENTS_BAD', 'CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED'])(
    'of a token that answers %s to the flag is refused by name, and the token works on',
    async (ckr) => {
      const { prehash, pure, publicKey } = await edwardsKey()
      chaos.set(`fail C_SignInit ${ckr} mechanism=${CKM_EDDSA}`)
      const error = await prehash().catch((thrown: unknown) => thrown)
      expect(isKmsError(error, 'UNSUPPORTED')).toBe(true)
      expect((error as Error).message).toBe(`${CANNOT}.`)
      chaos.clear()
      expect(provider.status()).toMatchObject({ state: 'up', generation: 1 })
      const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
      expect(verify(null, MESSAGE, key, (await pure()).signature)).toBe(true)
    },
  )

  it('of a token that is broken is no inability', async () => {
    const { prehash } = await edwardsKey()
    chaos.set([
      `fail C_SignInit CKR_GENERAL_ERROR mechanism=${CKM_EDDSA}`,
      'fail C_GenerateKey CKR_DEVICE_ERROR',
    ])
    await expect(prehash()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
  })

  it.each(['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87'] as const)(
    'a key of %s is asked for and refused by the token, and leaves nothing',
    async (spec) => {
      const store = new MemoryKeyStore()
      const { kms } = kmsOn(store, provider)
      chaos.trace()
      await expect(kms.createKey(call(), { spec, usage: 'SIGN_VERIFY' })).rejects.toThrow(
        `The token "main" makes no key pair of spec ${spec} (CKM_ML_DSA_KEY_PAIR_GEN).`,
      )
      expect(chaos.trace().some(({ function: name }) => name === 'C_GenerateKeyPair')).toBe(true)
      for (const state of ['Creating', 'Deleting', 'Enabled'] as const)
        expect(await store.listKeysInState(state, { limit: 9 })).toEqual([])
    },
  )
})
