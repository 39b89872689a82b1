import { describe, expect, it } from 'vitest'
import { CountedProvider } from '../../src/core/counted-provider.ts'
import { KmsError } from '../../src/core/errors.ts'
import { GcmBudget } from '../../src/core/gcm-budget.ts'
import { SYSTEM_CLOCK } from '../../src/lib/clock.ts'
import { RepeatedLog } from '../../src/lib/repeated-log.ts'
import { TokenSet } from '../../src/providers/pkcs11/token-set.ts'
import { type MemberHealth, readinessOf } from '../../src/readiness.ts'
import { sampleKey } from '../support/key-store-samples.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
import { SoftwareProvider } from '../support/software-provider.ts'

const UP = { state: 'up' }
const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

const member = (token: string): MemberHealth => ({ token, member: 'primary', status: UP })

/** Two tokens behind one router, each of which can be made to fail. */
function fixture() {
  const [one, two] = [new SoftwareProvider(), new SoftwareProvider()]
  const served = (crypto: SoftwareProvider) => ({ crypto, members: () => [], close: async () => undefined })
  const provider = new TokenSet(
    new Map([
      ['one', served(one)],
      ['two', served(two)],
    ]),
  )
  const store = new MemoryKeyStore()
  const members = [member('one'), member('two')]
  const settings = { invocationsMax: 2, leaseInvocations: 2, rotateAt: 1 }
  const budget = new GcmBudget({ ledger: store, clock: SYSTEM_CLOCK, log: LOG, settings })
  const counted = new CountedProvider(provider, budget)
  const warned: string[] = []
  const health = { ...LOG, warn: (_: object, message: string) => warned.push(message) }
  const log = new RepeatedLog(health, 60_000)
  const report = (strays: readonly { token: string; keys: number; keyId: string }[] = []) =>
    readinessOf({ store, provider: counted, members: () => members, strays, log })
  return { one, two, store, counted, log, members, warned, report }
}

const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is away.', { token: 'one' })

describe('readiness', () => {
  it('is whole when the store and every token work', async () => {
    const { report } = fixture()
    expect(await report()).toEqual({
      ready: true,
      degraded: false,
      components: { store: { ok: true }, 'token:one': { ok: true }, 'token:two': { ok: true } },
    })
  })

  it('waits for what is to be made first', async () => {
    const { store, counted, log } = fixture()
    const seed = { ok: false, reason: 'not all there' }
    const deps = { store, provider: counted, members: () => [member('one')], strays: [], log }
    expect(await readinessOf({ ...deps, unmade: async () => ({ seed }) })).toMatchObject({
      ready: false,
      degraded: true,
      components: { seed },
    })
    expect(await readinessOf({ ...deps, unmade: async () => ({}) })).toMatchObject({
      ready: true,
      degraded: false,
    })
  })

  it('goes on, and tells, while one token of several works', async () => {
    const { one, members, report } = fixture()
    one.failWith = GONE
    members[0] = {
      token: 'one',
      member: 'primary',
      status: { state: 'down', reason: 'pulled', hint: 'plug' },
    }
    expect(await report()).toEqual({
      ready: true,
      degraded: true,
      components: {
        store: { ok: true },
        'token:one': { ok: false, reason: 'pulled', hint: 'plug' },
        'token:two': { ok: true },
      },
    })
  })

  it('ends when no token works, or the store does not', async () => {
    const { one, two, store, warned, report } = fixture()
    one.failWith = GONE
    two.failWith = GONE
    expect(await report()).toMatchObject({ ready: false, degraded: true })
    expect(await report()).toMatchObject({ ready: false, degraded: true })
    // Each told once, though it is asked for every second.
    expect(warned).toEqual(['the token is not ready', 'the token is not ready'])
    one.failWith = undefined
    await store.close()
    expect(await report()).toMatchObject({ ready: false, components: { 'token:one': { ok: true } } })
  })

  it('tries each token with keys of its own, and takes one that works', async () => {
    const { one, two, store, report } = fixture()
    const keys = ['one', 'one', 'two'].map((token) => sampleKey({ token }))
    for (const key of keys) await store.createKey(key)
    const tried: (string | undefined)[] = []
    one.checkHealth = async (_, ref) => {
      tried.push(ref?.keyId)
      if (tried.length === 1) throw GONE
    }
    two.checkHealth = async (_, ref) => {
      expect(ref).toMatchObject({ token: 'two', keyId: keys[2]?.keyId })
    }
    expect(await report()).toMatchObject({ ready: true, degraded: false })
    expect(new Set(tried)).toEqual(new Set([keys[0]?.keyId, keys[1]?.keyId]))
  })

  it('is whole when the keys of a token may not be sealed with any more, or not be counted', async () => {
    const { one, store, report } = fixture()
    const key = sampleKey({ token: 'one' })
    await store.createKey(key)
    const version = { token: 'one', keyId: key.keyId, versionId: key.primaryVersionId, versionNumber: 1 }
    await one.createMasterKey(version, { deadlineAt: Date.now() + 1000 })
    one.calls.length = 0
    for (let check = 0; check < 4; check++) expect(await report()).toMatchObject({ degraded: false })
    // With the key while it may be, without it from then on: each time the token itself was tried.
    expect(one.calls).toEqual(Array.from({ length: 4 }, () => 'checkHealth'))
    store.leaseInvocations = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'Away.', {}))
    expect(await report()).toMatchObject({ components: { 'token:one': { ok: true } } })
  })

  it('tells of a replica that cannot take over for every key', async () => {
    const { members, report } = fixture()
    const replica = { token: 'one', member: 'replica', status: UP } as const
    members.push({ ...replica, copies: { unproven: 0, refused: 0 } })
    expect(await report()).toMatchObject({
      degraded: false,
      components: { 'token:one/replica': { ok: true } },
    })
    members[2] = { ...replica, copies: { unproven: 2, refused: 1 } }
    expect(await report()).toMatchObject({
      ready: true,
      degraded: true,
      components: { 'token:one/replica': { ok: false, reason: expect.stringMatching(/2 .*1 /) } },
    })
  })

  it('tells of a primary that is away while its replica serves in its place', async () => {
    const { members, report } = fixture()
    members.push({ token: 'one', member: 'replica', status: UP, copies: { unproven: 0, refused: 0 } })
    members[0] = {
      token: 'one',
      member: 'primary',
      status: { state: 'down', reason: 'pulled', hint: 'plug' },
    }
    expect(await report()).toEqual({
      ready: true,
      degraded: true,
      components: {
        store: { ok: true },
        'token:one': { ok: true },
        'token:one/primary': { ok: false, reason: 'pulled', hint: 'plug' },
        'token:one/replica': { ok: true },
        'token:two': { ok: true },
      },
    })
  })

  it('tells of a replica that is away, and of keys whose token is not configured', async () => {
    const { members, report } = fixture()
    members.push({ token: 'one', member: 'replica', status: { state: 'connecting', reason: 'absent' } })
    expect(await report([{ token: 'old', keys: 2, keyId: 'k' }])).toMatchObject({
      ready: true,
      degraded: true,
      components: {
        'token:one': { ok: true },
        'token:one/replica': { ok: false, reason: 'absent' },
        'token:old': { ok: false, reason: '2 keys name this token, which is not configured.' },
      },
    })
  })
})
