import { expect, it } from 'vitest'
import type { MasterKey } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import {
  ACCOUNT,
  next,
  REGION,
  rotated,
  sampleAlias,
  sampleKey,
  samplePrimary,
  sampleReplica,
} from './key-store-samples.ts'

const ELSEWHERE = 'us-east-1'
const SCHEDULE = { periodDays: 90, nextAt: 0 }

/** Multi-region keys: rows of one key id in several regions. */
export function regionClauses(store: () => KeyStore): void {
  async function replicated(): Promise<{ primary: MasterKey; replica: MasterKey }> {
    const made = samplePrimary()
    await store().createKey(made)
    const primary = next(made)
    const replica = sampleReplica(primary, ELSEWHERE, { description: 'there' })
    expect(await store().addReplica(primary, replica)).toBe(true)
    return { primary, replica }
  }

  it('STO-60 a replica comes to be in one change with a revision of its primary key', async () => {
    const { primary, replica } = await replicated()
    expect(await store().getKey(REGION, primary.keyId)).toStrictEqual(primary)
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toStrictEqual(replica)
    expect(await store().listKeys(ACCOUNT, ELSEWHERE, { limit: 9 })).toStrictEqual([replica])
    expect(await store().findKeyIdByVersion(primary.primaryVersionId)).toBe(primary.keyId)
  })

  it('STO-60 a replica of another revision of the primary key is not made', async () => {
    const primary = samplePrimary()
    await store().createKey(primary)
    for (const revision of [1, 3]) {
      const late = { ...primary, revision, description: 'late' }
      expect(await store().addReplica(late, sampleReplica(late, ELSEWHERE))).toBe(false)
    }
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toBeUndefined()
    expect(await store().getKey(REGION, primary.keyId)).toStrictEqual(primary)
  })

  it('STO-60, STO-2 a region has a key once, and a replica that is refused changes nothing', async () => {
    const { primary, replica } = await replicated()
    const again = next(primary, { description: 'again' })
    const refused = store().addReplica(again, sampleReplica(again, ELSEWHERE))
    await expect(refused).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store().listRegions(primary.keyId)).toStrictEqual([primary, replica])
  })

  it('STO-60, STO-7 what the primary key may not become is told before the replica that is there', async () => {
    const { primary } = await replicated()
    const other = next(primary, { createdAt: primary.createdAt + 1 })
    const refused = store().addReplica(other, sampleReplica(other, ELSEWHERE))
    await expect(refused).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, primary.keyId)).toStrictEqual(primary)
  })

  it('STO-60 a replica takes the place of the tombstone of an earlier one', async () => {
    const { primary, replica } = await replicated()
    await store().createAlias(sampleAlias(replica, 'alias/there'))
    await store().replaceKey(next(replica, { state: 'Deleted' }))
    const again = next(primary)
    const anew = sampleReplica(again, ELSEWHERE, { revision: 7 })
    expect(await store().addReplica(again, anew)).toBe(true)
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toStrictEqual(anew)
    expect(await store().getAlias(ACCOUNT, ELSEWHERE, 'alias/there')).toBeUndefined()
  })

  it.each([
    ['of the same region', { region: REGION }],
    ['of another account', { accountId: '444455556666' }],
    ['of another token', { token: 'other' }],
    ['that is a primary key', { multiRegion: 'PRIMARY' }],
    ['with a version of its own', rotatedParts()],
    ['with a schedule', { rotationSchedule: SCHEDULE }],
  ] as const)('STO-60 a replica %s is a bug of the caller', async (_, wrong) => {
    const primary = samplePrimary()
    await store().createKey(primary)
    const added = store().addReplica(next(primary), sampleReplica(primary, ELSEWHERE, wrong))
    await expect(added).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().listRegions(primary.keyId)).toStrictEqual([primary])
  })

  it('STO-45 a replica never has a schedule: it is the primary key that is due', async () => {
    const { primary, replica } = await replicated()
    const scheduled = next(replica, { rotationSchedule: SCHEDULE })
    for (const change of [store().replaceKey(scheduled), store().replaceKeys([next(primary), scheduled])])
      await expect(change).rejects.toMatchObject({ name: 'InvariantError' })
    const due = next(primary, { rotationSchedule: SCHEDULE })
    expect(await store().replaceKey(due)).toBe(true)
    expect(await store().listKeysDueForRotation(0, { limit: 9 })).toStrictEqual([due])
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toStrictEqual(replica)
  })

  it('STO-61 a rotation is one of every region, and outruns changes made without it', async () => {
    const { primary, replica } = await replicated()
    const after = rotated(primary)
    expect(await store().replaceKey(after)).toBe(true)
    const { versions, primaryVersionId } = after
    const shared = next(replica, { versions, primaryVersionId })
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toStrictEqual(shared)
    expect(await store().replaceKey(next(replica, { state: 'Disabled' }))).toBe(false)
    expect(await store().replaceKey(next(shared, { state: 'Disabled' }))).toBe(true)
    expect(await store().getKey(REGION, primary.keyId)).toStrictEqual(after)
  })

  it('STO-61 another primary version that was there before is one of every region', async () => {
    const { primary, replica } = await replicated()
    const after = rotated(primary)
    await store().replaceKey(after)
    const back = next(after, { primaryVersionId: primary.primaryVersionId })
    expect(await store().replaceKey(back)).toBe(true)
    const { versions, primaryVersionId } = back
    const shared = next(next(replica), { versions, primaryVersionId })
    expect(await store().getKey(ELSEWHERE, primary.keyId)).toStrictEqual(shared)
  })

  it('STO-61 a rotation in one region leaves keys of other ids as they are', async () => {
    const { primary } = await replicated()
    const other = sampleKey({ region: ELSEWHERE })
    await store().createKey(other)
    await store().replaceKey(rotated(primary))
    expect(await store().getKey(ELSEWHERE, other.keyId)).toStrictEqual(other)
  })

  it('STO-62 several keys are changed together or not at all', async () => {
    const { primary, replica } = await replicated()
    const swapped = [next(primary, { multiRegion: 'REPLICA' }), next(replica, { multiRegion: 'PRIMARY' })]
    const late = [swapped[0], next(replica, { revision: 9 })] as MasterKey[]
    expect(await store().replaceKeys(late)).toBe(false)
    expect(await store().listRegions(primary.keyId)).toStrictEqual([primary, replica])
    expect(await store().replaceKeys(swapped)).toBe(true)
    expect(await store().listRegions(primary.keyId)).toStrictEqual(swapped)
  })

  it('STO-63 the regions of a key id are told by name, tombstones included, and of an unknown one none', async () => {
    const { primary, replica } = await replicated()
    const gone = next(replica, { state: 'Deleted' })
    await store().replaceKey(gone)
    expect(await store().listRegions(primary.keyId)).toStrictEqual([primary, gone])
    for (const none of ['none', 'nul\0', 'lone\ud800'])
      expect(await store().listRegions(none)).toStrictEqual([])
  })

  it('STO-29 replicas are not rotated by themselves', async () => {
    const { primary, replica } = await replicated()
    await store().leaseInvocations(primary.primaryVersionId, 5, 100)
    expect(await store().listKeysToRotate(1, { limit: 9 })).toStrictEqual([primary])
    await store().replaceKey(next(primary, { state: 'Disabled' }))
    expect(replica.state).toBe('Enabled')
    expect(await store().listKeysToRotate(1, { limit: 9 })).toStrictEqual([])
  })

  it.each([
    ['is named as of one region', { keyId: '00000000-0000-4000-8000-000000000000', multiRegion: 'PRIMARY' }],
    ['has the id of several', { keyId: `mrk-${'0'.repeat(32)}` }],
    ['waits for replicas that it cannot have', { state: 'PendingReplicaDeletion', multiRegion: 'REPLICA' }],
    ['has a deletion window while Enabled', { deletionWindowDays: 7 }],
  ] as const)('STO-23 a key that %s is a bug of the caller', async (_, wrong) => {
    await expect(store().createKey(sampleKey(wrong))).rejects.toMatchObject({ name: 'InvariantError' })
  })

  it('STO-7 a key of one region never comes to be of several', async () => {
    const { primary } = await replicated()
    const { multiRegion: _, ...single } = next(primary)
    await expect(store().replaceKey(single)).rejects.toMatchObject({ name: 'InvariantError' })
  })
}

function rotatedParts(): Partial<MasterKey> {
  const { versions, primaryVersionId } = rotated(samplePrimary())
  return { versions, primaryVersionId }
}
