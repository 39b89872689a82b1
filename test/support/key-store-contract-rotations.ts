import { expect, it } from 'vitest'
import type { MasterKey } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { ALL_STATES, next, REGION, rotated, sampleKey } from './key-store-samples.ts'

const DAY = 86_400_000

/** What keeps the rotation schedule of a key, and what its rotations were. */
export function rotationClauses(store: () => KeyStore): void {
  it('STO-7, STO-3 a schedule comes, moves and goes, and a version keeps the rotation that it came with', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const scheduled = next(key, { rotationSchedule: { periodDays: 90, nextAt: DAY } })
    const grown = rotated(next(scheduled))
    const versions = grown.versions.map((version) =>
      version.number === 2 ? { ...version, rotation: { type: 'ON_DEMAND', at: 7 } as const } : version,
    )
    const turned = {
      ...grown,
      versions,
      revision: 3,
      rotationSchedule: { periodDays: 2560, nextAt: 2 * DAY },
    }
    const { rotationSchedule: _, ...without } = next(turned)
    for (const step of [scheduled, turned, without]) {
      expect(await store().replaceKey(step)).toBe(true)
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(step)
    }
  })

  it('STO-7 the rotation of a version never changes', async () => {
    const key = rotated(sampleKey())
    await store().createKey(key)
    const versions = key.versions.map((version) => ({
      ...version,
      rotation: { type: 'AUTOMATIC', at: 1 } as const,
    }))
    await expect(store().replaceKey(next(key, { versions }))).rejects.toMatchObject({
      name: 'InvariantError',
    })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-45, STO-11 keys whose schedule is due are walked over all accounts and regions', async () => {
    const schedule = (nextAt: number) => ({ rotationSchedule: { periodDays: 90, nextAt } })
    const places = ['b', 'a', 'c', 'a', 'b', 'a'].map((region, n) => ({ region, accountId: `${n}` }))
    const keys = places.map((place, n) => sampleKey({ ...place, ...schedule(10 + n) }))
    const pendingVersion = { versionId: 'v', state: 'Making', rotation: 'AUTOMATIC', createdAt: 1 } as const
    const visible = ALL_STATES.filter((state) => state !== 'Enabled' && state !== 'Creating')
    const others = [
      sampleKey(),
      sampleKey({ ...schedule(1), pendingVersion }),
      ...visible.map((state) => sampleKey({ ...schedule(1), state })),
    ]
    for (const key of [...keys, ...others]) await store().createKey(key)
    const due = (by: number) =>
      byPlace(keys.filter(({ rotationSchedule }) => (rotationSchedule?.nextAt ?? 0) <= by))
    for (const by of [9, 10, 13, 15]) expect(await walk(store(), by)).toStrictEqual(due(by))
    await expect(store().listKeysDueForRotation(0.5, { limit: 1 })).rejects.toMatchObject({
      name: 'InvariantError',
    })
  })
}

/** All rows, by pages of two. */
async function walk(store: KeyStore, dueBy: number): Promise<MasterKey[]> {
  const seen: MasterKey[] = []
  for (let page = await store.listKeysDueForRotation(dueBy, { limit: 2 }); page.length > 0; ) {
    seen.push(...page)
    const { region = '', keyId = '' } = page.at(-1) ?? {}
    page = await store.listKeysDueForRotation(dueBy, { limit: 2, after: { region, keyId } })
  }
  return seen
}

function byPlace(keys: readonly MasterKey[]): MasterKey[] {
  return keys.toSorted((a, b) =>
    a.region === b.region ? (a.keyId < b.keyId ? -1 : 1) : a.region < b.region ? -1 : 1,
  )
}
