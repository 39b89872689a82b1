import { beforeEach, describe, expect, it } from 'vitest'
import type { MasterKey } from '../../../src/core/key.ts'
import { DAY_MS } from '../../../src/lib/clock.ts'
import { ALICE, call, GRACE_MS, kmsFixture } from '../../support/kms-fixture.ts'

const AWAY = 'eu-central-1'

let fixture: ReturnType<typeof kmsFixture>
beforeEach(() => {
  fixture = kmsFixture()
})

const there = () => ({ ...call(), principal: { ...ALICE, region: AWAY } })
const tend = () => fixture.maintenance.run(0)
const stateOf = async ({ keyId }: MasterKey, region = ALICE.region) =>
  (await fixture.store.getKey(region, keyId))?.state
const destructions = () => fixture.provider.calls.filter((name) => name === 'destroyMasterKey').length

describe('the grace before a destruction', () => {
  it('begins anew when the key was saved in the meantime', async () => {
    const key = await fixture.kms.createKey(call(), {})
    const schedule = () => fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    await schedule()
    fixture.clock.advance(7 * DAY_MS)
    await tend()
    await fixture.kms.cancelKeyDeletion(call(), key.keyId)
    await tend()
    await schedule()
    fixture.clock.advance(7 * DAY_MS)
    await tend()
    expect(await stateOf(key)).toBe('PendingDeletion')
    fixture.clock.advance(GRACE_MS)
    await tend()
    expect(await stateOf(key)).toBe('Deleted')
  })

  it('is of one region, though another has the same key', async () => {
    const key = await fixture.kms.createKey(call(), { multiRegion: true })
    const regions = [AWAY, 'ap-northeast-3']
    for (const region of regions) await fixture.kms.replicateKey(call(), { keyId: key.keyId, region })
    const schedule = (region: string, days: number) => {
      const context = { ...call(), principal: { ...ALICE, region } }
      return fixture.kms.scheduleKeyDeletion(context, key.keyId, days)
    }
    await schedule(AWAY, 7)
    await schedule('ap-northeast-3', 8)
    fixture.clock.advance(7 * DAY_MS)
    await tend()
    fixture.clock.advance(DAY_MS)
    await tend()
    expect(await stateOf(key, AWAY)).toBe('Deleted')
    expect(await stateOf(key, 'ap-northeast-3')).toBe('PendingDeletion')
  })
})

describe('a destruction', () => {
  it('takes the objects of a version in the making along', async () => {
    const key = await fixture.kms.createKey(call(), {})
    const pending = { versionId: 'v2', state: 'Making', rotation: 'ON_DEMAND', createdAt: 1 } as const
    await fixture.store.replaceKey({ ...key, pendingVersion: pending, revision: key.revision + 1 })
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS)
    await tend()
    fixture.clock.advance(GRACE_MS)
    await tend()
    expect(await stateOf(key)).toBe('Deleted')
    expect(destructions()).toBe(2)
  })

  it('that was cut short in all regions of a key takes its objects along', async () => {
    const key = await fixture.kms.createKey(call(), { multiRegion: true })
    await fixture.kms.replicateKey(call(), { keyId: key.keyId, region: AWAY })
    for (const row of await fixture.store.listRegions(key.keyId))
      await fixture.store.replaceKey({ ...row, state: 'Deleting', revision: row.revision + 1 })
    await tend()
    expect([await stateOf(key), await stateOf(key, AWAY)]).toEqual(['Deleted', 'Deleted'])
    expect(destructions()).toBeGreaterThan(0)
  })

  it('in one region leaves the objects to the other', async () => {
    const key = await fixture.kms.createKey(call(), { multiRegion: true })
    await fixture.kms.replicateKey(call(), { keyId: key.keyId, region: AWAY })
    await fixture.kms.scheduleKeyDeletion(there(), key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS)
    await tend()
    fixture.clock.advance(GRACE_MS)
    await tend()
    expect([await stateOf(key), await stateOf(key, AWAY)]).toEqual(['Enabled', 'Deleted'])
    expect(destructions()).toBe(0)
  })
})
