import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { call } from '../../support/kms-fixture.ts'
import { rotationFixture } from '../../support/rotation-fixture.ts'

const DAY = 86_400_000
const MAKING_MS = 60_001
const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })

let fixture: Awaited<ReturnType<typeof rotationFixture>>
beforeEach(async () => {
  fixture = await rotationFixture()
})

const enable = (days = 90) => fixture.kms.enableKeyRotation(call(), fixture.key.keyId, days)
const onDemand = () => fixture.kms.rotateKeyOnDemand(call(), fixture.key.keyId)
const status = () => fixture.kms.getKeyRotationStatus(call(), fixture.key.keyId)
const types = async () => (await fixture.now()).versions.map(({ rotation }) => rotation?.type)

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

describe('a key with a schedule', () => {
  it('has it in the change that makes the key usable', async () => {
    const replaced: MasterKey[] = []
    const replaceKey = fixture.store.replaceKey.bind(fixture.store)
    fixture.store.replaceKey = async (key) => {
      replaced.push(key)
      return replaceKey(key)
    }
    const before = fixture.clock.now()
    const { keyId } = await fixture.kms.createKey(call(), { rotationPeriodDays: 7 })
    const states = replaced.map(({ state, rotationSchedule }) => [state, rotationSchedule?.periodDays])
    expect(states).toEqual([['Enabled', 7]])
    const { nextAt } = await fixture.kms.getKeyRotationStatus(call(), keyId)
    expect(nextAt).toBeGreaterThanOrEqual(before + 7 * DAY)
    expect(nextAt).toBeLessThanOrEqual(fixture.clock.now() + 7 * DAY)
  })

  it('is rotated when its period is over, again and again, and opens all that it sealed', async () => {
    await enable()
    const blobs: Buffer[] = []
    for (let period = 0; period < 4; period++) {
      blobs.push((await fixture.seal()).blob)
      fixture.clock.advance(89 * DAY)
      await fixture.rotation.run()
      expect(await types()).toHaveLength(1 + period)
      fixture.clock.advance(DAY)
      await fixture.rotation.run()
      await fixture.rotation.run()
      expect(await types()).toHaveLength(2 + period)
    }
    expect(await types()).toEqual([undefined, 'AUTOMATIC', 'AUTOMATIC', 'AUTOMATIC', 'AUTOMATIC'])
    const { versions, primaryVersionId } = await fixture.now()
    expect((await fixture.seal()).version.versionId).toBe(primaryVersionId)
    expect(primaryVersionId).toBe(versions.at(-1)?.versionId)
    for (const blob of blobs) expect(await fixture.open(blob)).toBe('x')
  })

  it('is rotated once by however many processes see it due, and its next date is a period after the last', async () => {
    const before = (await enable(180)).rotationSchedule?.nextAt ?? 0
    fixture.clock.advance(180 * DAY + 5_000)
    const processes = Array.from({ length: 6 }, () => fixture.otherProcess())
    await Promise.all(processes.map((rotation) => rotation.run()))
    expect(await types()).toEqual([undefined, 'AUTOMATIC'])
    expect(processes.reduce((sum, { counts }) => sum + counts.ok, 0)).toBe(1)
    expect(fixture.inToken.size).toBe(2)
    expect((await fixture.now()).rotationSchedule).toEqual({ periodDays: 180, nextAt: before + 180 * DAY })
  })

  it.each(['disabled', 'pending deletion'])(
    'is rotated once when it comes back, that was %s for several periods',
    async (state) => {
      const { keyId } = fixture.key
      await enable()
      if (state === 'disabled') await fixture.kms.disableKey(call(), keyId)
      else await fixture.kms.scheduleKeyDeletion(call(), keyId, 30)
      fixture.clock.advance(400 * DAY)
      await fixture.rotation.run()
      expect(await types()).toEqual([undefined])
      if (state !== 'disabled') await fixture.kms.cancelKeyDeletion(call(), keyId)
      await fixture.kms.enableKey(call(), keyId)
      await fixture.rotation.run()
      await fixture.rotation.run()
      expect(await types()).toEqual([undefined, 'AUTOMATIC'])
      const left = ((await status()).nextAt ?? 0) - fixture.clock.now()
      expect(Math.round(left / DAY)).toBe(90)
    },
  )

  it('is rotated by the next round when the token is away, and the schedule does not forget it', async () => {
    await enable()
    fixture.clock.advance(90 * DAY)
    const due = (await fixture.now()).rotationSchedule
    fixture.provider.failWith = GONE
    await fixture.rotation.run()
    expect((await fixture.now()).rotationSchedule).toEqual(due)
    fixture.provider.failWith = undefined
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined, 'AUTOMATIC'])
  })

  it('is rotated once although a process died between the objects and the row', async () => {
    await enable()
    fixture.clock.advance(90 * DAY)
    const { store } = fixture
    const replace = store.replaceKey.bind(store)
    store.replaceKey = (key) => (key.versions.length > 1 ? Promise.reject(new Error('killed')) : replace(key))
    await fixture.rotation.run()
    store.replaceKey = replace
    expect((await fixture.now()).pendingVersion).toMatchObject({ state: 'Making', rotation: 'AUTOMATIC' })
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined])
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined, 'AUTOMATIC'])
    expect(fixture.inToken.size).toBe(2)
  })

  it('is not rotated once the schedule was taken away', async () => {
    await enable()
    await fixture.kms.disableKeyRotation(call(), fixture.key.keyId)
    fixture.clock.advance(1000 * DAY)
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined])
    expect(await status()).toMatchObject({ enabled: false })
    expect(await status()).not.toHaveProperty('periodDays')
  })

  it('keeps its next date when the same schedule is asked for again, and counts anew for another period', async () => {
    await enable(100)
    fixture.clock.advance(60 * DAY)
    await enable(100)
    expect(Math.round(((await status()).nextAt ?? 0) / DAY - fixture.clock.now() / DAY)).toBe(40)
    await enable(200)
    expect(Math.round(((await status()).nextAt ?? 0) / DAY - fixture.clock.now() / DAY)).toBe(200)
  })

  it('says that it is not rotated while it pends deletion, and is again when that is cancelled', async () => {
    const { keyId } = fixture.key
    await enable(120)
    await fixture.kms.scheduleKeyDeletion(call(), keyId, 7)
    expect(await status()).toMatchObject({ enabled: false })
    await fixture.kms.cancelKeyDeletion(call(), keyId)
    expect(await status()).toMatchObject({ enabled: true, periodDays: 120 })
  })

  it('comes to the bound of its invocations: a rotation that is listed as AUTOMATIC and leaves the schedule', async () => {
    await enable()
    const { rotationSchedule } = await fixture.now()
    await fixture.makeDue()
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined, 'AUTOMATIC'])
    expect((await fixture.now()).rotationSchedule).toEqual(rotationSchedule)
  })
})

describe('a rotation on demand', () => {
  it('makes a new primary version at once, leaves the schedule, and opens all that was sealed', async () => {
    await enable()
    const { rotationSchedule } = await fixture.now()
    const old = await fixture.seal()
    const rotated = await onDemand()
    expect(rotated.rotationSchedule).toEqual(rotationSchedule)
    const { blob, version } = await fixture.seal()
    expect(version.versionId).toBe(rotated.primaryVersionId)
    for (const sealed of [old.blob, blob]) expect(await fixture.open(sealed)).toBe('x')
    expect(await types()).toEqual([undefined, 'ON_DEMAND'])
  })

  it('leaves a schedule that is due: the scheduler rotates as well', async () => {
    await enable()
    const { rotationSchedule } = await fixture.now()
    fixture.clock.advance(90 * DAY + 1)
    expect((await onDemand()).rotationSchedule).toEqual(rotationSchedule)
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined, 'ON_DEMAND', 'AUTOMATIC'])
  })

  it('that was given up is not told as going on', async () => {
    const row = await fixture.now()
    const pendingVersion = {
      versionId: 'v2',
      state: 'Abandoned',
      rotation: 'ON_DEMAND',
      createdAt: 1,
    } as const
    await fixture.store.replaceKey({ ...row, pendingVersion, revision: row.revision + 1 })
    fixture.directory.forgetKey(row.region, row.keyId)
    expect(await status()).not.toHaveProperty('onDemandSince')
  })

  it('is had 25 times, and those of the scheduler do not count', async () => {
    await enable()
    for (let rotation = 0; rotation < 24; rotation++) await onDemand()
    fixture.clock.advance(90 * DAY)
    await fixture.rotation.run()
    await onDemand()
    expect(await codeOf(onDemand())).toBe('ROTATIONS_EXHAUSTED')
    fixture.clock.advance(90 * DAY)
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(28)
  })

  it('is refused while a version is in the making, whose start the status tells, and had once that is settled', async () => {
    const { provider } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = () => Promise.reject(GONE)
    const began = fixture.clock.now()
    expect(await codeOf(onDemand())).toBe('TOKEN_UNAVAILABLE')
    provider.createMasterKey = create
    expect(await codeOf(onDemand())).toBe('ROTATION_IN_PROGRESS')
    expect(Math.abs(((await status()).onDemandSince ?? 0) - began)).toBeLessThan(5_000)
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    expect(await status()).not.toHaveProperty('onDemandSince')
    expect(await codeOf(onDemand())).toBe('done')
    expect(await types()).toEqual([undefined, 'ON_DEMAND'])
  })

  it('that was cut short is finished as what it was', async () => {
    const { store } = fixture
    const replace = store.replaceKey.bind(store)
    store.replaceKey = (key) => (key.versions.length > 1 ? Promise.reject(new Error('killed')) : replace(key))
    await onDemand().catch(() => undefined)
    store.replaceKey = replace
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    expect(await types()).toEqual([undefined, 'ON_DEMAND'])
  })

  it('of which several are asked for at once rotates once each, or says that one is going on', async () => {
    const codes = await Promise.all(Array.from({ length: 6 }, () => codeOf(onDemand())))
    const done = codes.filter((code) => code === 'done')
    expect(done.length).toBeGreaterThan(0)
    for (const code of codes) expect(['done', 'ROTATION_IN_PROGRESS']).toContain(code)
    expect(await types()).toHaveLength(1 + done.length)
    expect(fixture.inToken.size).toBe(1 + done.length)
  })

  it.each([
    ['disabled', () => fixture.kms.disableKey(call(), fixture.key.keyId)],
    ['pending deletion', () => fixture.kms.scheduleKeyDeletion(call(), fixture.key.keyId, 7)],
  ])('is refused while the key is %s', async (_, change) => {
    await change()
    for (const refused of [onDemand(), enable(), fixture.kms.disableKeyRotation(call(), fixture.key.keyId)])
      expect(await codeOf(refused)).toBe('KEY_STATE_INVALID')
    expect(await types()).toEqual([undefined])
  })
})

describe('the list of rotations', () => {
  const list = (page: { all?: boolean; limit?: number; after?: string } = {}) =>
    fixture.kms.listKeyRotations(call(), fixture.key.keyId, { all: false, limit: 100, ...page })

  it('holds what rotations made, in order, and the initial version where everything is asked for', async () => {
    expect((await list()).rows).toEqual([])
    await onDemand()
    await enable()
    fixture.clock.advance(90 * DAY)
    await fixture.rotation.run()
    expect((await list()).rows.map(({ number, rotation }) => [number, rotation?.type])).toEqual([
      [2, 'ON_DEMAND'],
      [3, 'AUTOMATIC'],
    ])
    expect((await list({ all: true })).rows.map(({ number }) => number)).toEqual([1, 2, 3])
    const [second, third] = (await list()).rows
    expect((third?.rotation?.at ?? 0) - (second?.rotation?.at ?? 0)).toBeGreaterThan(89 * DAY)
  })

  it('is walked by pages that stay as they are while the key is rotated', async () => {
    for (let rotation = 0; rotation < 3; rotation++) await onDemand()
    const first = await list({ limit: 2, all: true })
    expect(first.rows.map(({ number }) => number)).toEqual([1, 2])
    await onDemand()
    const rest = await list({ limit: 3, all: true, ...(first.next && { after: first.next }) })
    expect(rest.rows.map(({ number }) => number)).toEqual([3, 4, 5])
    expect(rest).not.toHaveProperty('next')
  })
})
