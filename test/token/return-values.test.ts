import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { CKR_NAMES, CKR_RULES, type CkrRule, UNKNOWN_CKR_RULE } from '../../src/providers/pkcs11/ckr.ts'
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
const VENDORS = 0x8000_0042

interface Row {
  readonly name: string
  readonly number: number
  readonly rule: CkrRule
}

const ROWS: readonly Row[] = [
  ...Object.entries(CKR_NAMES).map(([number, name]) => {
    return { name, number: Number(number), rule: CKR_RULES[name] ?? UNKNOWN_CKR_RULE }
  }),
  { name: 'a return value of a vendor', number: VENDORS, rule: UNKNOWN_CKR_RULE },
]
const reconnects = ({ session }: CkrRule) => session === 'reconnect' || session === 'reinitialize'

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

  /** Does one thing under some rules; says how it ended and what it did to the session and to the connection. */
  const under = async (rule: string, work: () => Promise<unknown>, faultLasts = false) => {
    await eventually(() => provider.available)
    const before = provider.status()
    const counted = chaos.stats()
    chaos.set(rule)
    const ended = await work().then(
      () => 'ok',
      (error: unknown) => String((error as { readonly code?: unknown }).code ?? error),
    )
    if (faultLasts) await new Promise((resolve) => setTimeout(resolve, 30))
    else await eventually(() => provider.available)
    const after = provider.status()
    const counts = chaos.stats()
    const calls = (name: string) => (counts[name]?.calls ?? 0) - (counted[name]?.calls ?? 0)
    return {
      ended,
      discarded: after.sessionsDiscarded - before.sessionsDiscarded,
      misuses: after.sessionMisuses - before.sessionMisuses,
      connects: after.generation - before.generation,
      logins: calls('C_Login'),
      finalized: calls('C_Finalize'),
      calls,
    }
  }

  it.each(ROWS)('$name ($number) in the middle of a seal', async ({ number, rule }) => {
    const once = await under(`fail C_Encrypt ${number} times=1`, seal)
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

    const lasting = await under(`fail C_Encrypt ${number}`, seal, true)
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

  it.each(ROWS)('$name ($number) of an opening', async ({ number, rule }) => {
    const once = await under(`fail C_Decrypt ${number} times=1`, open)
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

    const lasting = await under(`fail C_Decrypt ${number}`, open, true)
    // The canary does not open either, so the ciphertext is never to blame.
    expect(lasting.ended).toBe(rule.code === 'CIPHERTEXT_INVALID' ? 'TOKEN_UNAVAILABLE' : rule.code)
    chaos.clear()
    await eventually(() => provider.available)
    await works()
  })
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

  const operators = ROWS.filter(({ rule }) => rule.session === 'operator')
  const others = ROWS.filter(({ name }) =>
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
