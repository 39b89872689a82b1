import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MasterKeyRef, SealMode } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { call, kmsOn } from '../support/kms-fixture.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
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
const aadFor = (mode: SealMode) => Buffer.from(`aad of ${mode}`)
const SLOW = 'latency C_GenerateKeyPair 6s'

describeWith([SOFTHSM_MODULE], 'the lane of key pairs', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  let ref: MasterKeyRef

  const start = async (overrides: object) => {
    provider = await startProvider(settingsFor('lane', { module: chaos.module, ...overrides }))
    ref = freshRef()
    await provider.createMasterKey(ref, within())
  }
  const make = (deadlineMs = 90_000) =>
    provider.sealKeyPair(ref, { spec: 'EC_P256', readable: true }, aadFor, within(deadlineMs))

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('lane')
    chaos = makeChaos(softHsm)
  })
  afterEach(async () => {
    chaos.clear()
    await provider?.close()
    softHsm.remove()
  })

  it('is busy for as long as it takes, while data keys and new keys do not wait for it', async () => {
    await start({ laneTimeoutMs: 3_000 })
    chaos.set(SLOW)
    let made = false
    const pair = make().then((sealed) => {
      made = true
      return sealed
    })
    await eventually(() => provider.status().queueDepth === 1)
    await provider.sealRandom(ref, 32, AAD, within())
    const other = freshRef()
    await provider.createMasterKey(other, within())
    await provider.seal(other, AAD, AAD, within())
    await provider.checkHealth('main', ref, within())
    expect(made).toBe(false)
    await expect(make()).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect((await pair).mode).toBe('W0')
    expect(provider.status()).toMatchObject({ state: 'up', lanesLost: 0 })
  })

  it('is lost when a pair takes longer than it may, and the next one serves', async () => {
    await start({ pairTimeoutMs: 1_000 })
    chaos.set(SLOW)
    await expect(make()).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(provider.status()).toMatchObject({ state: 'up', lanesLost: 1 })
    chaos.clear()
    let sealed: unknown
    await eventually(async () => {
      sealed = await make().catch(() => undefined)
      return sealed !== undefined
    }, 20_000)
    expect(sealed).toMatchObject({ mode: 'W0' })
    await eventually(() => provider.status().lanesHung === 0, 20_000)
  }, 60_000)

  it('does not begin what it may not have the time to end', async () => {
    await start({ pairTimeoutMs: 30_000 })
    chaos.trace()
    await expect(make(29_000)).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(chaos.trace().map((traced) => traced.function)).not.toContain('C_GenerateKeyPair')
  })

  it('makes one pair at a time, however many are asked for at once', async () => {
    await start({})
    const { kms } = kmsOn(new MemoryKeyStore(), provider)
    const { keyId } = await kms.createKey(call(), {})
    const input = { key: { kind: 'id', keyId }, presentation: 'pkcs8-der' } as const
    const patient = () => ({ ...call(), deadlineAt: Date.now() + 60_000 })
    const asked = Array.from({ length: 20 }, (_, index) => {
      const spec = index % 4 === 0 ? 'RSA_2048' : 'EC_P256'
      const wanted = { ...input, spec, waitMs: 60_000 } as const
      return index % 2 === 0
        ? kms.generateDataKeyPair(patient(), wanted)
        : kms.generateDataKeyPairWithoutPlaintext(patient(), wanted)
    })
    const pairs = await Promise.all(asked)
    expect(new Set(pairs.map(({ publicKey }) => publicKey.toString('hex'))).size).toBe(20)
    chaos.set('latency C_GenerateKeyPair 500ms')
    const impatient = { ...input, spec: 'EC_P256', waitMs: 0 } as const
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => kms.generateDataKeyPair(patient(), impatient)),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(19)
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'TOKEN_BUSY' } })
  }, 90_000)

  it('tells a spec that the token cannot make from a token that is broken, and names the mechanism', async () => {
    await start({})
    for (const answer of ['CKR_MECHANISM_INVALID', 'CKR_CURVE_NOT_SUPPORTED', 'CKR_GENERAL_ERROR']) {
      chaos.set(`fail C_GenerateKeyPair ${answer}`)
      const error = await make().catch((caught: unknown) => caught)
      expect(error, answer).toMatchObject({ code: 'UNSUPPORTED' })
      expect((error as Error).cause).toMatchObject({
        token: 'main',
        message: expect.stringMatching(new RegExp(`EC_P256: with CKM_EC_KEY_PAIR_GEN, .*${answer}`)),
      })
    }
    chaos.set('fail C_GenerateKeyPair CKR_GENERAL_ERROR times=1')
    expect((await make()).mode).toBe('W0')
    expect(provider.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('tells a token that cannot wrap a private key, and says so as a broken one would, from a broken one', async () => {
    await start({})
    const unseen = () =>
      provider.sealKeyPair(ref, { spec: 'EC_P256', readable: false }, aadFor, within(90_000))
    chaos.set('fail C_WrapKey CKR_GENERAL_ERROR')
    await expect(unseen()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    chaos.trace()
    await expect(unseen()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(chaos.trace().map((traced) => traced.function)).not.toContain('C_WrapKey')
    expect(provider.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('reads a private key by wrapping it where the token shows no attributes of one', async () => {
    await start({})
    // The classes of the two objects of the master key, the point, and then the scalar; each is asked for its length first.
    chaos.set('fail C_GetAttributeValue CKR_ATTRIBUTE_SENSITIVE after=6 times=1')
    chaos.trace()
    const sealed = await make()
    const called = chaos.trace().map((traced) => traced.function)
    expect(called.filter((name) => /Pair|Wrap|Unwrap/.test(name))).toEqual([
      'C_GenerateKeyPair',
      'C_GenerateKeyPair',
      'C_WrapKey',
      'C_UnwrapKey',
    ])
    const opened = await provider.open(ref, sealed.mode, sealed, aadFor(sealed.mode), within())
    expect(opened).toEqual(sealed.privateKey)
    await make()
    const again = chaos.trace().map((traced) => traced.function)
    expect(again.filter((name) => name === 'C_GenerateKeyPair')).toHaveLength(1)
  })
})
