import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { tokenRef } from '../../../src/core/find-key.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { DAY_MS } from '../../../src/lib/clock.ts'
import {
  call,
  GRACE_MS,
  kmsFixture,
  PAIR_TIMEOUT_MS,
  VERSION_INTERVAL_MS,
} from '../../support/kms-fixture.ts'
import { cutAt, versionsIn } from '../../support/rotation-fixture.ts'

const PAIR = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
/** Longer than who makes a pair goes on with it. */
const MAKING_MS = 60_001 + PAIR_TIMEOUT_MS
const DIED = new Error('the process died here')

let fixture: ReturnType<typeof kmsFixture>
let inToken: Set<string>
let key: MasterKey
beforeEach(async () => {
  fixture = kmsFixture()
  inToken = versionsIn(fixture.provider)
  key = await fixture.kms.createKey(call(), PAIR)
  fixture.clock.advance(VERSION_INTERVAL_MS)
})

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
const add = (context = call()) =>
  fixture.kms.createKeyVersion(context, { key: { kind: 'id', keyId: key.keyId }, waitMs: 0 })
async function now(): Promise<MasterKey> {
  const stored = await fixture.store.getKey(key.region, key.keyId)
  if (!stored) throw new Error('the key is gone')
  return stored
}

/** Everything of the key is whole: each version is in the token, alone, and has the public key that the token tells. */
async function expectWhole(versions: number): Promise<void> {
  const whole = await now()
  expect(whole.pendingVersion).toBeUndefined()
  expect(whole.versions).toHaveLength(versions)
  expect(whole.primaryVersionId).toBe(key.primaryVersionId)
  expect(inToken).toEqual(new Set(whole.versions.map(({ versionId }) => versionId)))
  for (const version of whole.versions) {
    const options = { deadlineAt: Date.now() + 5000 }
    const publicKey = await fixture.provider.readPublicKey(tokenRef(whole, version), options)
    expect(version.publicKey).toBe(publicKey.toString('base64'))
  }
}

describe('a version of a key pair that is cut short', () => {
  /** Every write and every call of the token that making one takes, each failing in turn before or after its effect. */
  const cuts = [
    ['before', 'replaceKey', 0, 1],
    ['after', 'replaceKey', 0, 1],
    ['before', 'createMasterKey', 0, 1],
    ['after', 'createMasterKey', 0, 2],
    ['before', 'replaceKey', 1, 2],
    ['after', 'replaceKey', 1, 2],
  ] as const

  it.each(cuts)(
    'by a process that dies %s %s %d is finished where its objects are whole, and taken back else',
    async (when, step, nth, versions) => {
      const mend = cutAt(fixture, { when, step, nth }, DIED)
      expect(await codeOf(add())).toContain('the process died here')
      mend()
      fixture.clock.advance(MAKING_MS)
      await fixture.rotation.run()
      await expectWhole(versions)
      fixture.clock.advance(VERSION_INTERVAL_MS)
      await add()
      await expectWhole(versions + 1)
    },
  )

  /** A row whose version is in the making, its objects being there or not. */
  async function leftInTheMaking(withObjects: boolean): Promise<MasterKey> {
    const { provider, store } = fixture
    const [create, replaceKey] = [provider.createMasterKey.bind(provider), store.replaceKey.bind(store)]
    let stored = 0
    if (withObjects)
      store.replaceKey = async (next) => (stored++ === 0 ? replaceKey(next) : Promise.reject(DIED))
    else provider.createMasterKey = () => Promise.reject(DIED)
    await codeOf(add())
    store.replaceKey = replaceKey
    provider.createMasterKey = create
    return now()
  }

  it.each([true, false])(
    'is left to its maker for as long as a generation may take (objects made: %s)',
    async (withObjects) => {
      const left = await leftInTheMaking(withObjects)
      expect(left.pendingVersion).toMatchObject({ state: 'Making' })
      expect(left.pendingVersion?.rotation).toBeUndefined()
      fixture.clock.advance(MAKING_MS - 5_000)
      await fixture.rotation.run()
      expect(await now()).toEqual(left)
      expect(await codeOf(add())).toBe('ROTATION_IN_PROGRESS')
    },
  )

  it('is neither finished nor destroyed where its objects are altered, and said to be of a key pair', async () => {
    const left = await leftInTheMaking(true)
    fixture.provider.altered.add(left.pendingVersion?.versionId ?? '')
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    expect(await now()).toEqual(left)
    expect(inToken.size).toBe(2)
    expect(fixture.logged.at(-1)?.message).toMatch(/new version of a key pair .* altered/)
  })

  it.each([
    [true, 'finished the new version of a key pair that was cut short'],
    [false, 'rolled back the new version of a key pair that was cut short'],
  ])('is told of in the log (objects made: %s)', async (withObjects, message) => {
    await leftInTheMaking(withObjects)
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    expect(fixture.logged.at(-1)?.message).toBe(message)
  })

  it.each([true, false])('goes with a key that is destroyed (objects made: %s)', async (withObjects) => {
    await leftInTheMaking(withObjects)
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS + 1)
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS)
    expect(await fixture.maintenance.run(0)).toMatchObject({ destroyed: 1, failed: 0 })
    expect((await now()).state).toBe('Deleted')
    expect(inToken.size).toBe(0)
  })
})

describe('the versions of a key pair', () => {
  it('are all destroyed with it', async () => {
    await add()
    fixture.clock.advance(VERSION_INTERVAL_MS)
    await add()
    expect(inToken.size).toBe(3)
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS + 1)
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS)
    await fixture.maintenance.run(0)
    expect(inToken.size).toBe(0)
  })
})

describe('a version of a key pair', () => {
  it('that comes too late for its caller is taken back, whatever else of the key changes, and may be made at once', async () => {
    const { kms, provider } = fixture
    const create = provider.createMasterKey.bind(provider)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>()
    const context = { ...call(), deadlineAt: Date.now() + 150 }
    provider.createMasterKey = async (ref, options) => {
      expect(options.deadlineAt).toBeGreaterThan(context.deadlineAt + 10_000)
      await held
      return create(ref, options)
    }
    const destroy = provider.destroyMasterKey.bind(provider)
    provider.destroyMasterKey = (ref, options) => destroy(ref, options).finally(settle)
    expect(await codeOf(add(context))).toBe('TOKEN_TIMEOUT')
    expect(await codeOf(kms.createKey(call(), PAIR))).toBe('TOKEN_BUSY')
    await kms.updateKeyDescription(call(), key.keyId, 'changed')
    release()
    await settled
    provider.createMasterKey = create
    await expect.poll(async () => (await now()).pendingVersion).toBeUndefined()
    await expectWhole(1)
    expect((await now()).description).toBe('changed')
    await add()
    await expectWhole(2)
  })

  it('that the token is unable to make is taken back at once', async () => {
    fixture.provider.unable.add(PAIR.spec)
    expect(await codeOf(add())).toBe('UNSUPPORTED')
    await expectWhole(1)
    fixture.provider.unable.clear()
    await add()
    await expectWhole(2)
  })

  it('whose taking back fails is left to be settled', async () => {
    const { provider } = fixture
    provider.unable.add(PAIR.spec)
    const destroy = provider.destroyMasterKey.bind(provider)
    provider.destroyMasterKey = () =>
      Promise.reject(new KmsError('TOKEN_UNAVAILABLE', 'gone', { token: 'main' }))
    expect(await codeOf(add())).toBe('UNSUPPORTED')
    expect((await now()).pendingVersion?.state).toBe('Abandoned')
    provider.destroyMasterKey = destroy
    await fixture.rotation.run()
    await expectWhole(1)
  })

  it('leaves no row while the token is away', async () => {
    fixture.provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'gone', { token: 'main' })
    const before = await now()
    expect(await codeOf(add())).toBe('TOKEN_UNAVAILABLE')
    expect(await now()).toEqual(before)
  })
})
