import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { DAY_MS } from '../../../src/lib/clock.ts'
import { ALICE, call, GRACE_MS, kmsFixture } from '../../support/kms-fixture.ts'

const [HOME, AWAY] = ['us-east-1', 'eu-central-1']

let fixture: ReturnType<typeof kmsFixture>
let key: MasterKey

const there = () => ({ ...call(), principal: { ...ALICE, region: AWAY } })
const byId = () => ({ kind: 'id', keyId: key.keyId }) as const
const rowIn = (region: string) => fixture.store.getKey(region, key.keyId)
const replicate = () => fixture.kms.replicateKey(call(), { keyId: key.keyId, region: AWAY })
const destructions = () => fixture.provider.calls.filter((name) => name === 'destroyMasterKey').length

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

/** Rounds until what is due after `days` is done. */
async function tend(days: number): Promise<void> {
  fixture.clock.advance(days * DAY_MS)
  await fixture.maintenance.run(0)
  fixture.clock.advance(GRACE_MS)
  await fixture.maintenance.run(0)
}

beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), { multiRegion: true, description: 'at home' })
})

describe('a replica', () => {
  it('opens what its primary key sealed, and the other way round', async () => {
    await replicate()
    const plaintext = Buffer.from('x')
    const home = await fixture.kms.encrypt(call(), { key: byId(), plaintext })
    const away = await fixture.kms.encrypt(there(), { key: byId(), plaintext })
    expect((await fixture.kms.decrypt(there(), { blob: home.blob })).plaintext).toEqual(plaintext)
    expect((await fixture.kms.decrypt(call(), { blob: away.blob, key: byId() })).plaintext).toEqual(plaintext)
  })

  it('does not open where there is none', async () => {
    await replicate()
    const { blob } = await fixture.kms.encrypt(call(), { key: byId(), plaintext: Buffer.from('x') })
    const elsewhere = { ...call(), principal: { ...ALICE, region: 'ap-northeast-3' } }
    expect(await codeOf(fixture.kms.decrypt(elsewhere, { blob }))).toBe('CIPHERTEXT_KEY_INACCESSIBLE')
  })

  it('has its own state, description and aliases', async () => {
    await replicate()
    await fixture.kms.createAlias(there(), 'alias/a', byId())
    await fixture.kms.disableKey(there(), key.keyId)
    expect(await fixture.kms.describeKey(call(), byId())).toMatchObject({
      state: 'Enabled',
      description: 'at home',
      multiRegion: 'PRIMARY',
    })
    expect(await fixture.kms.describeKey(there(), { kind: 'alias', alias: 'alias/a' })).toMatchObject({
      state: 'Disabled',
      description: '',
      multiRegion: 'REPLICA',
    })
    expect(await codeOf(fixture.kms.describeKey(call(), { kind: 'alias', alias: 'alias/a' }))).toBe(
      'ALIAS_NOT_FOUND',
    )
  })

  it('makes no object in the token', async () => {
    const before = fixture.provider.calls.length
    await replicate()
    expect(fixture.provider.calls).toHaveLength(before)
  })

  it('shows the rotation of its primary key at once, and opens what was sealed before', async () => {
    await replicate()
    const { blob } = await fixture.kms.encrypt(there(), { key: byId(), plaintext: Buffer.from('old') })
    const rotated = await fixture.kms.rotateKeyOnDemand(call(), key.keyId)
    const sealed = await fixture.kms.encrypt(there(), { key: byId(), plaintext: Buffer.from('new') })
    expect(sealed.version.versionId).toBe(rotated.primaryVersionId)
    expect((await fixture.kms.decrypt(there(), { blob })).plaintext.toString()).toBe('old')
    expect((await fixture.kms.decrypt(call(), { blob: sealed.blob })).plaintext.toString()).toBe('new')
  })

  it('is not rotated itself, and shows the schedule of its primary key', async () => {
    await replicate()
    await fixture.kms.enableKeyRotation(call(), key.keyId, 90)
    const { rotateKeyOnDemand, enableKeyRotation, disableKeyRotation } = {
      rotateKeyOnDemand: fixture.kms.rotateKeyOnDemand(there(), key.keyId),
      enableKeyRotation: fixture.kms.enableKeyRotation(there(), key.keyId, 90),
      disableKeyRotation: fixture.kms.disableKeyRotation(there(), key.keyId),
    }
    for (const refused of [rotateKeyOnDemand, enableKeyRotation, disableKeyRotation])
      expect(await codeOf(refused)).toBe('KEY_NOT_PRIMARY')
    expect(await fixture.kms.getKeyRotationStatus(there(), key.keyId)).toMatchObject({
      enabled: true,
      periodDays: 90,
    })
  })
})

describe('ReplicateKey', () => {
  it.each([
    ['a region that nobody serves', 'mars-north-1', 'REQUEST_INVALID'],
    ['the region of the primary key', HOME, 'ALREADY_EXISTS'],
    ['a region that has a replica', AWAY, 'ALREADY_EXISTS'],
  ])('refuses %s', async (_, region, code) => {
    await replicate()
    expect(await codeOf(fixture.kms.replicateKey(call(), { keyId: key.keyId, region }))).toBe(code)
    expect(await fixture.store.listRegions(key.keyId)).toHaveLength(2)
  })

  it('refuses keys of one region, and replicas', async () => {
    const { keyId } = await fixture.kms.createKey(call(), {})
    expect(await codeOf(fixture.kms.replicateKey(call(), { keyId, region: AWAY }))).toBe('KEY_NOT_PRIMARY')
    await replicate()
    const again = fixture.kms.replicateKey(there(), { keyId: key.keyId, region: 'ap-northeast-3' })
    expect(await codeOf(again)).toBe('KEY_NOT_PRIMARY')
  })

  it('makes one replica for whoever asks at the same time', async () => {
    const codes = await Promise.all(Array.from({ length: 5 }, () => codeOf(replicate())))
    expect(codes.toSorted()).toEqual([...Array(4).fill('ALREADY_EXISTS'), 'no error'])
  })

  it('refuses tags and a policy that a key cannot have', async () => {
    const input = { keyId: key.keyId, region: AWAY }
    const tags = [{ key: 'aws:own', value: '' }]
    expect(await codeOf(fixture.kms.replicateKey(call(), { ...input, tags }))).toBe('TAGS_INVALID')
    const policy = { language: 'AWS', policy: '{}', bypassLockoutCheck: true } as const
    expect(await codeOf(fixture.kms.replicateKey(call(), { ...input, policy }))).toBe('POLICY_INVALID')
    expect(await rowIn(AWAY)).toBeUndefined()
  })

  it('in place of one that is gone makes one that has nothing of it', async () => {
    await replicate()
    const statement = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'kms:*', Resource: '*' }
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
    await fixture.kms.putKeyPolicy(there(), key.keyId, { language: 'AWS', policy, bypassLockoutCheck: true })
    expect(await fixture.kms.getKeyPolicy(there(), key.keyId, 'AWS')).toBe(policy)
    const row = await rowIn(AWAY)
    if (!row) throw new Error('there is no replica')
    const gone = { ...row, state: 'Deleted', revision: row.revision + 1 } as const
    await fixture.store.replaceKey(gone)
    const anew = await replicate()
    expect(anew.revision).toBeGreaterThan(gone.revision)
    expect(await fixture.kms.getKeyPolicy(there(), key.keyId, 'AWS')).toBeUndefined()
  })

  it('leaves nothing behind when the store fails in between', async () => {
    const { store } = fixture
    const addReplica = store.addReplica.bind(store)
    store.addReplica = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'The store is gone.', {}))
    expect(await codeOf(replicate())).toBe('STORE_UNAVAILABLE')
    store.addReplica = addReplica
    expect(await rowIn(AWAY)).toBeUndefined()
    expect((await replicate()).state).toBe('Enabled')
  })
})

describe('UpdatePrimaryRegion', () => {
  it('swaps the roles, and the schedule of rotations goes along', async () => {
    await replicate()
    await fixture.kms.enableKeyRotation(call(), key.keyId, 90)
    await fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY)
    expect((await rowIn(HOME))?.multiRegion).toBe('REPLICA')
    expect((await rowIn(HOME))?.rotationSchedule).toBeUndefined()
    expect(await rowIn(AWAY)).toMatchObject({ multiRegion: 'PRIMARY', rotationSchedule: { periodDays: 90 } })
    const rotated = await fixture.kms.rotateKeyOnDemand(there(), key.keyId)
    expect((await rowIn(HOME))?.primaryVersionId).toBe(rotated.primaryVersionId)
    expect(await codeOf(fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY))).toBe('KEY_NOT_PRIMARY')
  })

  it.each([
    ['its own region', HOME, 'REQUEST_INVALID'],
    ['a region without a replica', 'ap-northeast-3', 'KEY_NOT_FOUND'],
  ])('refuses %s', async (_, region, code) => {
    await replicate()
    expect(await codeOf(fixture.kms.updatePrimaryRegion(call(), key.keyId, region))).toBe(code)
  })

  it('waits for a rotation to end', async () => {
    await replicate()
    const row = await rowIn('us-east-1')
    if (!row) throw new Error('the key is gone')
    const pendingVersion = { versionId: 'v2', state: 'Making', rotation: 'ON_DEMAND', createdAt: 1 } as const
    await fixture.store.replaceKey({ ...row, pendingVersion, revision: row.revision + 1 })
    expect(await codeOf(fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY))).toBe('CONFLICT')
    expect((await rowIn(AWAY))?.multiRegion).toBe('REPLICA')
  })

  it('refuses keys that are not enabled, on either side', async () => {
    await replicate()
    await fixture.kms.disableKey(there(), key.keyId)
    expect(await codeOf(fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY))).toBe('KEY_STATE_INVALID')
    await fixture.kms.enableKey(there(), key.keyId)
    await fixture.kms.disableKey(call(), key.keyId)
    expect(await codeOf(fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY))).toBe('KEY_STATE_INVALID')
  })
})

describe('deletion', () => {
  it('of a replica leaves the material to the others', async () => {
    await replicate()
    const { blob } = await fixture.kms.encrypt(there(), { key: byId(), plaintext: Buffer.from('x') })
    await fixture.kms.scheduleKeyDeletion(there(), key.keyId, 7)
    await tend(8)
    expect((await rowIn(AWAY))?.state).toBe('Deleted')
    expect(destructions()).toBe(0)
    expect((await fixture.kms.decrypt(call(), { blob })).plaintext.toString()).toBe('x')
    expect((await replicate()).state).toBe('Enabled')
    expect((await fixture.kms.decrypt(there(), { blob })).plaintext.toString()).toBe('x')
  })

  it('of a primary key waits for its replicas, and its window begins when the last is gone', async () => {
    await replicate()
    const waiting = await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 10)
    expect(waiting).toMatchObject({ state: 'PendingReplicaDeletion', deletionWindowDays: 10 })
    await tend(400)
    expect((await rowIn(HOME))?.state).toBe('PendingReplicaDeletion')
    await fixture.kms.scheduleKeyDeletion(there(), key.keyId, 7)
    await tend(8)
    expect((await rowIn(AWAY))?.state).toBe('Deleted')
    expect(await rowIn(HOME)).toMatchObject({ state: 'PendingDeletion' })
    expect(destructions()).toBe(0)
    await tend(8)
    expect((await rowIn(HOME))?.state).toBe('PendingDeletion')
    await tend(3)
    expect((await rowIn(HOME))?.state).toBe('Deleted')
    expect(destructions()).toBe(1)
  })

  it('of a primary key can be cancelled while it waits', async () => {
    await replicate()
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    expect(await codeOf(fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7))).toBe('KEY_STATE_INVALID')
    expect(await codeOf(fixture.kms.enableKey(call(), key.keyId))).toBe('KEY_STATE_INVALID')
    const back = await fixture.kms.cancelKeyDeletion(call(), key.keyId)
    expect(back.state).toBe('Disabled')
    expect(back.deletionWindowDays).toBeUndefined()
  })

  it('of several regions at once takes the material along with the last', async () => {
    await replicate()
    for (const region of [HOME, AWAY]) {
      const row = await rowIn(region)
      if (row) await fixture.store.replaceKey({ ...row, state: 'Deleting', revision: row.revision + 1 })
    }
    await fixture.maintenance.run(0)
    expect((await rowIn(HOME))?.state).toBe('Deleted')
    expect((await rowIn(AWAY))?.state).toBe('Deleted')
    expect(destructions()).toBeGreaterThan(0)
  })
})
