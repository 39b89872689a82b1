import { describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { KeyState } from '../../../src/core/key.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

const PAIR = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
const MAC = { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' } as const
const STATES: readonly KeyState[] = ['Creating', 'Enabled', 'Deleting', 'Deleted']

const message = Buffer.from('message')
const algorithm = 'ECDSA_SHA_256'

function fixtureOf() {
  const fixture = kmsFixture()
  const { provider, store } = fixture
  const create = provider.createMasterKey.bind(provider)
  /** How many keys are in each state. */
  const states = async () =>
    Object.fromEntries(
      await Promise.all(
        STATES.map(async (state) => [state, (await store.listKeysInState(state, { limit: 100 })).length]),
      ),
    )
  return { ...fixture, create, states }
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )

describe('a key pair', () => {
  it('is made one at a time per token, and whoever does not wait is refused', async () => {
    const { kms, provider, create, states } = fixtureOf()
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    provider.createMasterKey = async (ref, options) => {
      await held
      return create(ref, options)
    }
    const first = kms.createKey(call(), PAIR)
    const second = kms.createKey(call(), { ...PAIR, waitMs: 4_000 })
    expect(await codeOf(kms.createKey(call(), PAIR))).toBe('TOKEN_BUSY')
    // Other keys do not wait for it.
    provider.createMasterKey = create
    await kms.createKey(call(), MAC)
    expect(await states()).toMatchObject({ Creating: 1, Enabled: 1 })
    release()
    for (const key of await Promise.all([first, second]))
      expect(key.versions[0]?.publicKey).toMatch(/^[\w+/=]+$/)
    expect(await states()).toEqual({ Creating: 0, Enabled: 3, Deleting: 0, Deleted: 0 })
  })

  it('shares its gate with data key pairs', async () => {
    const { kms, provider, create } = fixtureOf()
    const { keyId } = await kms.createKey(call(), {})
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    provider.createMasterKey = async (ref, options) => {
      await held
      return create(ref, options)
    }
    const first = kms.createKey(call(), PAIR)
    const dataPair = kms.generateDataKeyPair(call(), {
      key: { kind: 'id', keyId },
      spec: 'EC_P256',
      presentation: 'pkcs8-der',
      waitMs: 0,
    })
    expect(await codeOf(dataPair)).toBe('TOKEN_BUSY')
    release()
    await first
  })

  it('that comes too late for its caller is undone', async () => {
    const { kms, provider, create, states } = fixtureOf()
    const context = { ...call(), deadlineAt: Date.now() + 150 }
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    provider.createMasterKey = async (ref, options) => {
      expect(options.deadlineAt).toBeGreaterThan(context.deadlineAt + 10_000)
      await held
      return create(ref, options)
    }
    expect(await codeOf(kms.createKey(context, PAIR))).toBe('TOKEN_TIMEOUT')
    expect(await states()).toMatchObject({ Creating: 1 })
    release()
    await expect.poll(states).toEqual({ Creating: 0, Enabled: 0, Deleting: 0, Deleted: 1 })
    expect(provider.calls.at(-1)).toBe('destroyMasterKey')
    provider.createMasterKey = create
    await kms.createKey(call(), PAIR)
  })

  it('that maintenance gave up meanwhile leaves no objects', async () => {
    const { kms, provider, create, maintenance, clock, states } = fixtureOf()
    provider.createMasterKey = async (ref, options) => {
      await maintenance.run(clock.now() + 1)
      return create(ref, options)
    }
    expect(await codeOf(kms.createKey(call(), PAIR))).toBe('CONFLICT')
    expect(await states()).toEqual({ Creating: 0, Enabled: 0, Deleting: 0, Deleted: 1 })
    expect(provider.calls.filter((name) => name === 'destroyMasterKey')).toHaveLength(2)
  })

  it('that maintenance finished meanwhile is the answer, with its public key', async () => {
    const { kms, provider, create, maintenance, clock } = fixtureOf()
    provider.createMasterKey = async (ref, options) => {
      const made = await create(ref, options)
      await maintenance.run(clock.now() + 1)
      return made
    }
    const key = await kms.createKey(call(), PAIR)
    expect(key).toMatchObject({ state: 'Enabled', versions: [{ publicKey: expect.any(String) }] })
    const named = { key: { kind: 'id', keyId: key.keyId }, algorithm, kind: 'message', message } as const
    const { signature } = await kms.sign(call(), named)
    expect(await kms.verify(call(), { ...named, signature })).toMatchObject({ keyId: key.keyId })
  })

  it('whose public key was not kept yet has it after maintenance', async () => {
    const { kms, store, maintenance, clock, provider } = fixtureOf()
    const replaceKey = store.replaceKey.bind(store)
    store.replaceKey = () => Promise.reject(new Error('the process died here'))
    expect(await codeOf(kms.createKey(call(), PAIR))).toContain('died')
    store.replaceKey = replaceKey
    provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'away', { token: 'main' })
    expect(await maintenance.run(clock.now() + 1)).toMatchObject({ failed: 1 })
    provider.failWith = undefined
    expect(await maintenance.run(clock.now() + 1)).toMatchObject({ finished: 1 })
    const [key] = await store.listKeysInState('Enabled', { limit: 2 })
    expect(key?.versions[0]?.publicKey).toMatch(/^[\w+/=]+$/)
  })
})

describe('a key that the token is unable to make', () => {
  it.each([PAIR, MAC])('is refused, and rolled back at once: %j', async (input) => {
    const { kms, provider, states } = fixtureOf()
    provider.unable.add(input.spec)
    expect(await codeOf(kms.createKey(call(), input))).toBe('UNSUPPORTED')
    expect(await states()).toEqual({ Creating: 0, Enabled: 0, Deleting: 0, Deleted: 1 })
  })

  it('is rolled back by maintenance where that fails', async () => {
    const { kms, provider, store, maintenance, clock, states } = fixtureOf()
    provider.unable.add(PAIR.spec)
    const replaceKey = store.replaceKey.bind(store)
    store.replaceKey = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'away', {}))
    expect(await codeOf(kms.createKey(call(), PAIR))).toBe('UNSUPPORTED')
    expect(await states()).toMatchObject({ Creating: 1 })
    store.replaceKey = replaceKey
    expect(await maintenance.run(clock.now() + 1)).toMatchObject({ rolledBack: 1 })
  })

  it.each(['SM2', 'ML_KEM_512'] as const)('of spec %s costs no row and no call', async (spec) => {
    const { kms, provider, states } = fixtureOf()
    expect(await codeOf(kms.createKey(call(), { spec }))).toBe('UNSUPPORTED')
    expect(await states()).toEqual({ Creating: 0, Enabled: 0, Deleting: 0, Deleted: 0 })
    expect(provider.calls).toEqual([])
  })
})

describe('GCM invocations', () => {
  it('are not counted of keys that are not symmetric', async () => {
    const { kms, store } = kmsFixture({ invocationsMax: 1, leaseInvocations: 1, rotateAt: 1 })
    const { keyId } = await kms.createKey(call(), MAC)
    const input = { key: { kind: 'id', keyId }, algorithm: 'HMAC_SHA_256', message } as const
    for (let round = 0; round < 5; round++) await kms.generateMac(call(), input)
    expect(await store.mostLeased()).toBe(0)
  })
})
