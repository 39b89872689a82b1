import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import { RETURN_VALUES, reconnects, under } from '../support/return-values.ts'
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
const CKR_DEVICE_REMOVED = 0x32

describeWith([SOFTHSM_MODULE], 'what each return value does', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  let ref: MasterKeyRef
  let sealed: Awaited<ReturnType<Pkcs11Provider['sealRandom']>>

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('faults')
    chaos = makeChaos(softHsm)
    provider = await startProvider(settingsFor('faults', { module: chaos.module }))
    ref = freshRef()
    await provider.createMasterKey(ref, within())
    sealed = await provider.sealRandom(ref, 32, AAD, within())
  })

  afterAll(async () => {
    await provider.close()
    softHsm.remove()
  })

  const seal = () => provider.sealRandom(ref, 32, AAD, within())
  const open = () => provider.open(ref, 'W0', sealed, AAD, within())
  const works = async () => {
    await seal()
    expect(await open()).toEqual(sealed.plaintext)
  }

  const meet = (rule: string, work: () => Promise<unknown>, faultLasts?: boolean) =>
    under({ provider, chaos }, rule, work, faultLasts)

  it.each(RETURN_VALUES)('$name ($number) in the middle of a seal', async ({ number, rule }) => {
    const once = await meet(`fail C_Encrypt ${number} times=1`, seal)
    const code = rule.code === 'CIPHERTEXT_INVALID' ? 'TOKEN_UNAVAILABLE' : rule.code
    const anew = reconnects(rule) ? 1 : 0
    expect(once).toMatchObject({
      ended: rule.retry ? 'ok' : code,
      // The operation was open.
      discarded: 1,
      misuses: rule.misuse ? 1 : 0,
      connects: anew,
      logins: anew,
      finalized: rule.session === 'reinitialize' ? 1 : 0,
    })
    await works()

    const lasting = await meet(`fail C_Encrypt ${number}`, seal, true)
    expect(lasting.ended).toBe(code)
    if (anew === 1 || rule.session === 'suspect') {
      expect(provider.available).toBe(false)
    } else {
      // Tried as often as its row says, and nothing of it is the connection's business.
      expect(lasting.calls('C_Encrypt')).toBe(rule.retry ? 2 : 1)
      expect([lasting.logins, lasting.finalized, provider.available]).toEqual([0, 0, true])
    }
    chaos.clear()
    await eventually(() => provider.available)
    await works()
  })

  it.each(RETURN_VALUES)('$name ($number) of an opening', async ({ number, rule }) => {
    const once = await meet(`fail C_Decrypt ${number} times=1`, open)
    const anew = reconnects(rule) && !rule.ambiguous ? 1 : 0
    const decided = rule.ambiguous || rule.code === 'CIPHERTEXT_INVALID'
    expect(once).toMatchObject({
      ended: rule.ambiguous || rule.retry ? 'ok' : rule.code,
      connects: anew,
      finalized: rule.session === 'reinitialize' && !rule.ambiguous ? 1 : 0,
    })
    // A session that was proven stays, unless the token keeps the operation that the rule cut off: p11chaos does.
    if (!decided) expect(once.discarded).toBe(1)
    await works()

    const lasting = await meet(`fail C_Decrypt ${number}`, open, true)
    // The canary does not open either, so the ciphertext is never to blame.
    expect(lasting.ended).toBe(rule.code === 'CIPHERTEXT_INVALID' ? 'TOKEN_UNAVAILABLE' : rule.code)
    chaos.clear()
    await eventually(() => provider.available)
    await works()
  })

  it.each(RETURN_VALUES.filter(({ rule }) => rule.code === 'CIPHERTEXT_INVALID'))(
    '$name ($number) of every unwrapping blames the token, not what was sealed inside',
    async ({ number }) => {
      const inside = await provider.sealRandomInside(ref, 32, () => AAD, within())
      const openInside = () => provider.open(ref, inside.mode, inside, AAD, within())
      const first = await openInside()
      const lasting = await meet(`fail C_UnwrapKey ${number}`, openInside, true)
      expect(lasting.ended).toBe('TOKEN_UNAVAILABLE')
      chaos.clear()
      // A connection that was made while it lasted may have found that the token unwraps nothing: have another one made.
      await meet(`fail C_Encrypt ${CKR_DEVICE_REMOVED} times=1`, seal)
      await eventually(() => provider.available)
      expect(await openInside()).toEqual(first)
    },
  )
})

describeWith([SOFTHSM_MODULE], 'a return value of C_Login', () => {
  let softHsm: SoftHsm
  let chaos: Chaos

  beforeAll(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('login')
    chaos = makeChaos(softHsm)
  })

  afterAll(() => softHsm.remove())

  const operators = RETURN_VALUES.filter(({ rule }) => rule.session === 'operator')
  const others = RETURN_VALUES.filter(({ name }) =>
    ['CKR_DEVICE_ERROR', 'CKR_HOST_MEMORY', 'CKR_SESSION_HANDLE_INVALID'].includes(name),
  )

  describe('that a person has to do something about', () => {
    it.each(operators)('$name is asked for once', async ({ number, rule }) => {
      chaos.set(`fail C_Login ${number}`)
      const provider = await startProvider(
        settingsFor('login', { module: chaos.module, reconnectDelayMs: 5 }),
      )
      try {
        for (let round = 0; round < 10; round += 1) {
          await expect(provider.checkHealth('main', undefined, within())).rejects.toMatchObject({
            code: 'TOKEN_UNAVAILABLE',
          })
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
        expect(chaos.stats()['C_Login']).toMatchObject({ calls: 1, errors: 1 })
        expect(provider.status()).toMatchObject({ state: 'down', breaker: 'open', hint: rule.hint })
      } finally {
        await provider.close()
      }
    })
  })

  it.each(others)('$name is tried again by itself', async ({ number }) => {
    chaos.set(`fail C_Login ${number} times=3`)
    const provider = await startProvider(settingsFor('login', { module: chaos.module, reconnectDelayMs: 5 }))
    try {
      expect(provider.status()).toMatchObject({ state: 'connecting' })
      await eventually(() => provider.available)
      expect(provider.status()).toMatchObject({ logins: 1, loginsRefused: 3 })
    } finally {
      await provider.close()
    }
  })
})
