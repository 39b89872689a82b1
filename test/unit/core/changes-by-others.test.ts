import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { KeyDirectory } from '../../../src/core/key-directory.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'
import { rotationFixture } from '../../support/rotation-fixture.ts'

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

describe('a change of a key that another process changes as well', () => {
  let fixture: ReturnType<typeof kmsFixture>
  let key: MasterKey
  beforeEach(async () => {
    fixture = kmsFixture()
    key = await fixture.kms.createKey(call(), {})
  })
  const otherProcess = () =>
    fixture.kmsWith(new KeyDirectory(fixture.store, fixture.clock, { maxAgeMs: 1000, entriesMax: 10 }))
  const now = () => fixture.store.getKey(key.region, key.keyId)

  it('sees what the other did, however fresh its own row is', async () => {
    await fixture.kms.describeKey(call(), { kind: 'id', keyId: key.keyId })
    await otherProcess().disableKey(call(), key.keyId)
    await fixture.kms.updateKeyDescription(call(), key.keyId, 'changed')
    expect(await now()).toMatchObject({ state: 'Disabled', description: 'changed' })
    await otherProcess().enableKey(call(), key.keyId)
    expect((await fixture.kms.disableKey(call(), key.keyId)).state).toBe('Disabled')
    expect(await now()).toMatchObject({ state: 'Disabled' })
  })

  it('is made again when the other was first, and undoes nothing', async () => {
    const replaceKey = fixture.store.replaceKey.bind(fixture.store)
    fixture.store.replaceKey = async (next) => {
      fixture.store.replaceKey = replaceKey
      await otherProcess().setDeletionProtection(call(), key.keyId, 'needed')
      return replaceKey(next)
    }
    expect(await fixture.kms.updateKeyDescription(call(), key.keyId, 'changed')).toMatchObject({
      description: 'changed',
      deletionProtection: 'needed',
    })
    expect(await now()).toMatchObject({ description: 'changed', deletionProtection: 'needed' })
  })

  it('is given up when others are always first', async () => {
    let tries = 0
    fixture.store.replaceKey = async () => {
      tries += 1
      return false
    }
    expect(await codeOf(fixture.kms.disableKey(call(), key.keyId))).toBe('CONFLICT')
    expect(tries).toBe(8)
    expect(await now()).toMatchObject({ state: 'Enabled' })
  })
})

describe('a rotation of a key that another process changes as well', () => {
  let fixture: Awaited<ReturnType<typeof rotationFixture>>
  beforeEach(async () => {
    fixture = await rotationFixture()
  })
  const rotate = () => fixture.kms.rotateKeyOnDemand(call(), fixture.key.keyId)
  const change = async (changed: Partial<MasterKey>) => {
    const row = await fixture.now()
    expect(await fixture.store.replaceKey({ ...row, ...changed, revision: row.revision + 1 })).toBe(true)
  }
  /** A row whose version is in the making and has no objects. */
  async function leftInTheMaking(): Promise<void> {
    const create = fixture.provider.createMasterKey.bind(fixture.provider)
    fixture.provider.createMasterKey = () => Promise.reject(new Error('the process died here'))
    await rotate().catch(() => undefined)
    fixture.provider.createMasterKey = create
    fixture.clock.advance(60_001)
  }

  it('destroys no objects of a version in the making that it could not claim', async () => {
    await leftInTheMaking()
    const find = fixture.provider.findMasterKey.bind(fixture.provider)
    fixture.provider.findMasterKey = async (...asked) => {
      const found = await find(...asked)
      await change({ description: 'changed' })
      return found
    }
    fixture.provider.calls.length = 0
    await fixture.rotation.run()
    expect(fixture.provider.calls).not.toContain('destroyMasterKey')
    expect((await fixture.now()).pendingVersion?.state).toBe('Making')
  })

  it('keeps the objects for which a row still waits when it gives up, and the next round takes them', async () => {
    const { store, provider } = fixture
    const [replaceKey, create] = [store.replaceKey.bind(store), provider.createMasterKey.bind(provider)]
    provider.createMasterKey = async (...asked) => {
      const made = await create(...asked)
      store.replaceKey = async () => false
      return made
    }
    expect(await codeOf(rotate())).toBe('CONFLICT')
    store.replaceKey = replaceKey
    expect(fixture.inToken.size).toBe(2)
    fixture.clock.advance(60_001)
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(2)
    expect(fixture.inToken.size).toBe(2)
  })

  it('takes no version that was given up, and leaves no objects of it', async () => {
    const { provider } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async (...asked) => {
      const made = await create(...asked)
      const { pendingVersion } = await fixture.now()
      if (pendingVersion) await change({ pendingVersion: { ...pendingVersion, state: 'Abandoned' } })
      return made
    }
    expect(await codeOf(rotate())).toBe('CONFLICT')
    expect((await fixture.now()).versions).toHaveLength(1)
    expect(fixture.inToken).toEqual(new Set([fixture.key.primaryVersionId]))
  })

  it('is left to the destruction of the key', async () => {
    await leftInTheMaking()
    await change({ state: 'Deleting' })
    await fixture.rotation.run()
    expect(fixture.rotation.counts).toEqual({ ok: 0, failed: 0 })
    expect((await fixture.now()).state).toBe('Deleting')
  })

  it('is refused of a key that is not enabled any more', async () => {
    await fixture.makeDue()
    const { store } = fixture
    const list = store.listKeysToRotate.bind(store)
    store.listKeysToRotate = async (...asked) => {
      const seen = await list(...asked)
      await fixture.kms.disableKey(call(), fixture.key.keyId)
      return seen
    }
    await fixture.rotation.run()
    expect(await fixture.now()).toMatchObject({ state: 'Disabled' })
    expect((await fixture.now()).versions).toHaveLength(1)
    expect(fixture.inToken.size).toBe(1)
  })
})
