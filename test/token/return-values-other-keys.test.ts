import { constants, createECDH, createPublicKey, publicEncrypt } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KeySpec, KeyUsage } from '../../src/core/key-spec.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import { ONE_OF_EACH_RULE, reconnects, under } from '../support/return-values.ts'
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

const DIGEST = Buffer.alloc(32, 7)
const OAEP_SHA_1 = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }

describeWith([SOFTHSM_MODULE], 'what each kind of return value does to key pairs and MAC keys', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  /** Uses one key, and throws where the outcome is not what it was the first time. */
  const works: Record<string, () => Promise<unknown>> = {}

  const make = async (spec: KeySpec, usage: KeyUsage) => {
    const ref = { ...freshRef(), spec, usage }
    const { publicKey = Buffer.alloc(0) } = await provider.createMasterKey(ref, within(90_000))
    return { ref, publicKey }
  }
  const always = (expected: Buffer, work: () => Promise<Buffer>) => async () => {
    expect(await work()).toEqual(expected)
  }

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('faults')
    chaos = makeChaos(softHsm)
    provider = await startProvider(settingsFor('faults', { module: chaos.module }))
    const signing = await make('RSA_2048', 'SIGN_VERIFY')
    const sign = () => provider.sign(signing.ref, 'RSASSA_PKCS1_V1_5_SHA_256', DIGEST, within())
    works['sign'] = always(await sign(), sign)
    const hmac = await make('HMAC_256', 'GENERATE_VERIFY_MAC')
    const mac = () => provider.mac(hmac.ref, 'HMAC_SHA_256', DIGEST, within())
    works['mac'] = always(await mac(), mac)
    const agreeing = await make('ECC_NIST_P256', 'KEY_AGREEMENT')
    const point = createECDH('prime256v1').generateKeys()
    const derive = () => provider.deriveSecret(agreeing.ref, point, within())
    works['deriveSecret'] = always(await derive(), derive)
    const { ref, publicKey } = await make('RSA_2048', 'ENCRYPT_DECRYPT')
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    const ciphertext = publicEncrypt({ key, ...OAEP_SHA_1 }, DIGEST)
    const decrypt = () => provider.decryptRsa(ref, 'RSAES_OAEP_SHA_1', ciphertext, publicKey, within())
    works['decryptRsa'] = always(DIGEST, decrypt)
    await decrypt()
  })

  afterAll(async () => {
    await provider.close()
    softHsm.remove()
  })

  const meet = (rule: string, name: string, faultLasts = false) =>
    under({ provider, chaos }, rule, () => works[name]?.() ?? Promise.reject(new Error(name)), faultLasts)
  const recovers = async (name: string) => {
    chaos.clear()
    await eventually(() => provider.available)
    await works[name]?.()
  }

  describe.each([
    ['sign', 'C_Sign', 'whole'],
    ['sign', 'C_SignInit', 'begun'],
    ['mac', 'C_Sign', 'whole'],
    ['deriveSecret', 'C_DeriveKey', 'none'],
  ] as const)('%s, when it is answered by %s', (name, called, operation) => {
    it.each(ONE_OF_EACH_RULE)('$name ($number)', async ({ number, rule }) => {
      const code = rule.code === 'CIPHERTEXT_INVALID' ? 'TOKEN_UNAVAILABLE' : rule.code
      const once = await meet(`fail ${called} ${number} times=1`, name)
      const anew = reconnects(rule) ? 1 : 0
      expect(once).toMatchObject({
        ended: rule.retry ? 'ok' : code,
        // A session is given up with its open operation.
        discarded: operation === 'none' && rule.session === 'keep' ? 0 : 1,
        misuses: rule.misuse ? 1 : 0,
        connects: anew,
        finalized: rule.session === 'reinitialize' ? 1 : 0,
      })
      await works[name]?.()

      const lasting = await meet(`fail ${called} ${number}`, name, true)
      expect(lasting.ended).toBe(code)
      // What does not concern the connection is tried as often as its row says, and costs no other caller anything.
      if (anew === 0 && rule.session !== 'suspect') {
        expect(lasting.calls(called)).toBe(rule.retry ? 2 : 1)
        expect([lasting.logins, lasting.finalized, provider.available]).toEqual([0, 0, true])
      }
      await recovers(name)
    })
  })

  describe('decryptRsa, when it is answered by C_Decrypt', () => {
    it.each(ONE_OF_EACH_RULE)('$name ($number)', async ({ number, rule }) => {
      // How the token decrypts is known: it is the ciphertext that meets the fault.
      await works['decryptRsa']?.()
      const once = await meet(`fail C_Decrypt ${number} times=1 mechanism=CKM_RSA_PKCS_OAEP`, 'decryptRsa')
      expect(once).toMatchObject({
        ended: rule.ambiguous || rule.retry ? 'ok' : rule.code,
        connects: reconnects(rule) && !rule.ambiguous ? 1 : 0,
        finalized: rule.session === 'reinitialize' && !rule.ambiguous ? 1 : 0,
      })
      await works['decryptRsa']?.()

      const lasting = await meet(`fail C_Decrypt ${number} mechanism=CKM_RSA_PKCS_OAEP`, 'decryptRsa', true)
      // What is encrypted here does not decrypt either, so the ciphertext is never to blame.
      expect(lasting.ended).toBe(rule.code === 'CIPHERTEXT_INVALID' ? 'TOKEN_UNAVAILABLE' : rule.code)
      await recovers('decryptRsa')
    })
  })
})
