import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { MasterKeyRef, Sealed, SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  eventually,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')
/** What tokens in the field answer to a wrong tag; SoftHSM 2.6 answers the first. */
const WRONG_TAG = [
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
  'CKR_DEVICE_ERROR',
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_DATA_INVALID',
  '0x80000042',
] as const

describeWith([SOFTHSM_MODULE], 'a forged ciphertext', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  let ref: MasterKeyRef
  const sealed = new Map<SealMode, Sealed>()

  beforeAll(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('forged')
    chaos = makeChaos(softHsm)
  })

  beforeEach(async () => {
    provider = await startProvider(settingsFor('forged', { module: chaos.module }))
    ref = freshRef()
    await provider.createMasterKey(ref, within())
    sealed.set('W0', await provider.sealRandom(ref, 32, AAD, within()))
    sealed.set('W2', await provider.sealRandomInside(ref, 32, () => AAD, within()))
    for (const mode of ['W0', 'W2'] as const) await open(mode)
  })

  afterEach(async () => {
    chaos.clear()
    await provider.close()
  })

  afterAll(() => softHsm.remove())

  const good = (mode: SealMode) => {
    const found = sealed.get(mode)
    if (!found) throw new Error('It was not sealed.')
    return found
  }
  const forged = (mode: SealMode): Sealed => {
    const tag = Buffer.from(good(mode).tag)
    tag[0] = (tag[0] ?? 0) ^ 1
    return { ...good(mode), tag }
  }
  const open = (mode: SealMode, what = good(mode)) => provider.open(ref, mode, what, AAD, within())
  const calls = (name: string) => chaos.stats()[name]?.calls ?? 0
  const INVALID = { code: 'CIPHERTEXT_INVALID' }
  const UNAVAILABLE = { code: 'TOKEN_UNAVAILABLE' }

  for (const mode of ['W0', 'W2'] as const) {
    it.each(WRONG_TAG)(
      `(${mode}) is invalid on a token that answers %s to it, and no more happens`,
      async (name) => {
        chaos.set(`wrong-tag ${name}`)
        await expect(open(mode, forged(mode))).rejects.toMatchObject(INVALID)
        await open(mode)
        expect(provider.status()).toMatchObject({ state: 'up', generation: 1, sessionsDiscarded: 0 })
      },
    )

    it(`(${mode}) is not what a good one is taken for when the token breaks`, async () => {
      chaos.set('fail C_Decrypt CKR_GENERAL_ERROR')
      await expect(open(mode)).rejects.toMatchObject(UNAVAILABLE)
      expect(provider.available).toBe(false)
      chaos.clear()
      await eventually(() => provider.available)
      expect(provider.status().reconnects).toEqual({ CKR_GENERAL_ERROR: 1 })
      await open(mode)
    })

    it(`(${mode}) is not blamed for a token that stumbles over a good one`, async () => {
      chaos.set('fail C_Decrypt CKR_GENERAL_ERROR times=1')
      await open(mode)
      expect(provider.status()).toMatchObject({ state: 'up', generation: 1 })
    })

    it(`(${mode}) is not blamed when the token breaks before the canary`, async () => {
      // Twice the forged one, then the canary.
      chaos.set('fail C_Decrypt CKR_GENERAL_ERROR after=2')
      await expect(open(mode, forged(mode))).rejects.toMatchObject(UNAVAILABLE)
      expect(provider.available).toBe(false)
      chaos.clear()
      await eventually(() => provider.available)
      await expect(open(mode, forged(mode))).rejects.toMatchObject(INVALID)
    })
  }

  it('is not what a wrapped key is taken for that the token does not unwrap right now', async () => {
    // Two tries of the key, two of the canary.
    chaos.set('fail C_UnwrapKey CKR_FUNCTION_FAILED times=4')
    await expect(open('W2')).rejects.toMatchObject(UNAVAILABLE)
    await eventually(() => provider.available && provider.status().generation === 2)
    chaos.set('fail C_UnwrapKey CKR_FUNCTION_FAILED times=1')
    await open('W2')
  })

  it.each(['CKR_GENERAL_ERROR', 'CKR_DEVICE_ERROR'])(
    'in a loop costs neither sessions nor reconnects, and no call of others fails (%s)',
    async (name) => {
      chaos.set(`wrong-tag ${name}`)
      const before = { sessions: calls('C_OpenSession'), logins: calls('C_Login') }
      const stop = new AbortController()
      let refused = 0
      let depth = 0
      const attackers = Array.from({ length: 16 }, async (_, index) => {
        const mode = index % 2 === 0 ? 'W0' : 'W2'
        while (!stop.signal.aborted) {
          await expect(open(mode, forged(mode))).rejects.toMatchObject(INVALID)
          refused += 1
        }
      })
      const others = Array.from({ length: 200 }, async (_, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * 10))
        depth = Math.max(depth, provider.status().queueDepth)
        return await open('W0')
      })
      await Promise.all(others)
      stop.abort()
      await Promise.all(attackers)
      process.stdout.write(`${refused} forged ciphertexts refused; at most ${depth} calls under way\n`)
      expect(refused).toBeGreaterThan(100)
      // Sixteen attackers with one call each, and the others' calls of one moment.
      expect(depth).toBeLessThan(16 + 100)
      expect(calls('C_OpenSession') - before.sessions).toBe(0)
      expect(calls('C_Login') - before.logins).toBe(0)
      expect(provider.status()).toMatchObject({ state: 'up', generation: 1, reconnects: {} })
    },
  )
})
