import { beforeEach, describe, expect, it } from 'vitest'
import type { MasterKey } from '../../../src/core/key.ts'
import { call, GRACE_MS } from '../../support/kms-fixture.ts'
import { cutAt, rotationFixture } from '../../support/rotation-fixture.ts'

const MAKING_MS = 60_001
const DAY_MS = 86_400_000
const DIED = new Error('the process died here')

let fixture: Awaited<ReturnType<typeof rotationFixture>>
beforeEach(async () => {
  fixture = await rotationFixture()
})

describe('a rotation that is cut short', () => {
  /** Every write and every call of the token that a rotation makes, each failing in turn before or after its effect. */
  const cuts = (['before', 'after'] as const).flatMap((when) =>
    (
      [
        ['replaceKey', 0],
        ['replaceKey', 1],
        ['createMasterKey', 0],
      ] as const
    ).map(([step, nth]) => [when, step, nth] as const),
  )

  it.each(cuts)(
    'by a process that dies %s %s %d is finished or made anew, and leaves nothing behind',
    async (when, step, nth) => {
      const blobs = await fixture.makeDue()
      const mend = cutAt(fixture, { when, step, nth }, DIED)
      await fixture.rotation.run()
      mend()
      blobs.push((await fixture.seal()).blob)
      await fixture.otherProcess().run()
      fixture.clock.advance(MAKING_MS)
      await fixture.otherProcess().run()
      const settled = await fixture.now()
      expect(settled.versions).toHaveLength(2)
      expect(settled.pendingVersion).toBeUndefined()
      expect(fixture.inToken).toEqual(new Set(settled.versions.map(({ versionId }) => versionId)))
      blobs.push((await fixture.seal()).blob)
      for (const blob of blobs) expect(await fixture.open(blob)).toBe('x')
    },
  )

  /** A row whose version is in the making, its objects being there or not. */
  async function leftInTheMaking(withObjects: boolean): Promise<MasterKey> {
    await fixture.makeDue()
    const { provider, rotation, store } = fixture
    const [create, replaceKey] = [provider.createMasterKey.bind(provider), store.replaceKey.bind(store)]
    let stored = 0
    if (withObjects)
      store.replaceKey = async (next) => (stored++ === 0 ? replaceKey(next) : Promise.reject(DIED))
    else provider.createMasterKey = () => Promise.reject(DIED)
    await rotation.run()
    store.replaceKey = replaceKey
    provider.createMasterKey = create
    return fixture.now()
  }

  it.each([true, false])('is left to its maker for a minute (objects made: %s)', async (withObjects) => {
    const left = await leftInTheMaking(withObjects)
    expect(left.pendingVersion?.state).toBe('Making')
    await fixture.otherProcess().run()
    expect(await fixture.now()).toEqual(left)
  })

  it('is neither finished nor destroyed where its objects are altered, until somebody mends them', async () => {
    const left = await leftInTheMaking(true)
    const { altered } = fixture.provider
    altered.add(left.pendingVersion?.versionId ?? '')
    fixture.clock.advance(MAKING_MS)
    const { failed } = fixture.rotation.counts
    await fixture.rotation.run()
    expect(await fixture.now()).toEqual(left)
    expect(fixture.inToken.size).toBe(2)
    expect(fixture.rotation.counts.failed).toBe(failed + 1)
    expect(fixture.logged.at(-1)?.message).toContain('altered')
    altered.clear()
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(2)
  })

  it('is settled where the clock was set back since', async () => {
    await leftInTheMaking(true)
    fixture.clock.advance(-2 * MAKING_MS)
    await fixture.otherProcess().run()
    expect((await fixture.now()).versions).toHaveLength(2)
  })

  it('of a key that was disabled meanwhile is finished, and the key stays disabled', async () => {
    const { pendingVersion } = await leftInTheMaking(true)
    await fixture.kms.disableKey(call(), fixture.key.keyId)
    fixture.clock.advance(MAKING_MS)
    await fixture.rotation.run()
    expect(await fixture.now()).toMatchObject({
      state: 'Disabled',
      primaryVersionId: pendingVersion?.versionId,
    })
  })

  it.each([true, false])('goes with a key that is destroyed (objects made: %s)', async (withObjects) => {
    await leftInTheMaking(withObjects)
    await fixture.kms.scheduleKeyDeletion(call(), fixture.key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS + 1)
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS)
    expect(await fixture.maintenance.run(0)).toMatchObject({ destroyed: 1, failed: 0 })
    expect(await fixture.now()).toMatchObject({ state: 'Deleted' })
    expect((await fixture.now()).pendingVersion).toBeUndefined()
    expect(fixture.inToken.size).toBe(0)
  })

  it('while another process gives it up leaves no objects, and is made anew', async () => {
    await fixture.makeDue()
    const { provider, rotation } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async (ref, options) => {
      provider.createMasterKey = create
      fixture.clock.advance(MAKING_MS)
      await fixture.otherProcess().run()
      expect((await fixture.now()).versions).toHaveLength(2)
      return create(ref, options)
    }
    await rotation.run()
    const settled = await fixture.now()
    expect(settled.versions).toHaveLength(2)
    expect(fixture.inToken).toEqual(new Set(settled.versions.map(({ versionId }) => versionId)))
    expect(rotation.counts).toEqual({ ok: 0, failed: 1 })
  })

  it('by a change of the key in between takes the change along', async () => {
    await fixture.makeDue()
    const { provider, rotation } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async (ref, options) => {
      const made = await create(ref, options)
      await fixture.kms.disableKey(call(), fixture.key.keyId)
      return made
    }
    await rotation.run()
    expect(await fixture.now()).toMatchObject({ state: 'Disabled', versions: [{ number: 1 }, { number: 2 }] })
    expect(rotation.counts).toEqual({ ok: 1, failed: 0 })
  })

  it('by the end of the round takes no further key', async () => {
    await fixture.makeDue()
    await fixture.rotation.run(AbortSignal.abort())
    expect((await fixture.now()).versions).toHaveLength(1)
  })
})
