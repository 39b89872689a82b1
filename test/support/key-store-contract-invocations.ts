import { expect, it } from 'vitest'
import type { MasterKey } from '../../src/core/key.ts'
import type { KeyPlace, KeyStore, PageRequest } from '../../src/core/ports/key-store.ts'
import { ALL_STATES, next, rotated, sampleKey } from './key-store-samples.ts'

/** What keeps the invocations of a key version within its bound. */
export function invocationClauses(store: () => KeyStore): void {
  async function madeVersion(): Promise<string> {
    const key = sampleKey()
    await store().createKey(key)
    return key.primaryVersionId
  }

  it('STO-25 each number is handed out once, in order, and none at or past the bound', async () => {
    const [versionId, other] = [await madeVersion(), await madeVersion()]
    const lease = (count: number, max = 10) => store().leaseInvocations(versionId, count, max)
    expect(await lease(4)).toStrictEqual({ first: 0, count: 4 })
    expect(await lease(4)).toStrictEqual({ first: 4, count: 4 })
    expect(await lease(4)).toStrictEqual({ first: 8, count: 2 })
    expect(await lease(4)).toStrictEqual({ first: 10, count: 0 })
    expect(await lease(1, 3)).toStrictEqual({ first: 10, count: 0 })
    expect(await lease(4, 11)).toStrictEqual({ first: 10, count: 1 })
    expect(await store().leaseInvocations(other, 1, 10)).toStrictEqual({ first: 0, count: 1 })
  })

  it('STO-25 counts to the bound of AES-GCM', async () => {
    const versionId = await madeVersion()
    const bound = 2 ** 32
    await store().leaseInvocations(versionId, bound - 1, bound)
    expect(await store().leaseInvocations(versionId, 2, bound)).toStrictEqual({ first: bound - 1, count: 1 })
    expect(await store().leaseInvocations(versionId, 2, bound)).toStrictEqual({ first: bound, count: 0 })
  })

  it('STO-25 leases that are asked for at the same time do not meet', async () => {
    const versionId = await madeVersion()
    const counts = Array.from({ length: 40 }, (_, index) => 1 + (index % 7))
    const blocks = await Promise.all(counts.map((count) => store().leaseInvocations(versionId, count, 100)))
    const numbers = blocks.flatMap(({ first, count }) => Array.from({ length: count }, (_, n) => first + n))
    expect(numbers.toSorted((a, b) => a - b)).toStrictEqual(Array.from({ length: 100 }, (_, n) => n))
  })

  it.each([
    ['of a version that no key has', 1, 10, 'none'],
    ['of text that no store can keep', 1, 10, 'nul\0'],
    ['of nothing', 0, 10, undefined],
    ['of half an invocation', 0.5, 10, undefined],
    ['below no bound', 1, 0, undefined],
  ])('STO-26 a lease %s is a bug of the caller', async (_, count, max, versionId) => {
    const known = await madeVersion()
    await expect(store().leaseInvocations(versionId ?? known, count, max)).rejects.toMatchObject({
      name: 'InvariantError',
    })
    expect(await store().leaseInvocations(known, 1, 10)).toStrictEqual({ first: 0, count: 1 })
  })

  it('STO-27 the most that was leased of a version in use is known', async () => {
    expect(await store().mostLeased()).toBe(0)
    const keys = ALL_STATES.map((state) => sampleKey({ state }))
    for (const [index, key] of keys.entries()) {
      await store().createKey(key)
      const enabled = key.state === 'Enabled'
      await store().leaseInvocations(key.primaryVersionId, enabled ? 90 : 100 + index, 1000)
    }
    const [enabled, second] = [keys.find(({ state }) => state === 'Enabled'), sampleKey()]
    if (!enabled) throw new Error('no key is enabled')
    expect(await store().mostLeased()).toBe(90)
    await store().createKey(second)
    await store().leaseInvocations(second.primaryVersionId, 50, 1000)
    await store().replaceKey(rotated(enabled))
    expect(await store().mostLeased()).toBe(50)
    await store().replaceKey(next(second, { state: 'Disabled' }))
    expect(await store().mostLeased()).toBe(0)
  })

  it('STO-29, STO-11 keys that are being rotated, and keys that are due, are walked over all accounts and regions', async () => {
    const pendingVersion = {
      versionId: 'in-the-making',
      state: 'Making',
      rotation: 'AUTOMATIC',
      createdAt: 1,
    } as const
    const keys = ['b', 'a', 'c', 'a', 'b', 'a'].map((region, n) => sampleKey({ region, accountId: `${n}` }))
    for (const [index, key] of keys.entries()) {
      await store().createKey(key)
      await store().leaseInvocations(key.primaryVersionId, 10 + index, 1000)
    }
    const others = ALL_STATES.filter((state) => state !== 'Enabled').map((state) => sampleKey({ state }))
    for (const key of others) {
      await store().createKey(key)
      await store().leaseInvocations(key.primaryVersionId, 100, 1000)
    }
    const sorted = keys.toSorted(byPlace)
    expect(await walk((page) => store().listKeysToRotate(10, page))).toStrictEqual(sorted)
    const due = sorted.filter((key) => keys.indexOf(key) >= 3)
    expect(await walk((page) => store().listKeysToRotate(13, page))).toStrictEqual(due)
    expect(await walk((page) => store().listKeysInRotation(page))).toStrictEqual([])
    const [first, second] = due
    if (!first || !second) throw new Error('no key is due')
    const making = next(first, { pendingVersion })
    await store().replaceKey(making)
    await store().replaceKey(rotated(second))
    expect(await walk((page) => store().listKeysToRotate(13, page))).toStrictEqual(due.slice(2))
    expect(await walk((page) => store().listKeysInRotation(page))).toStrictEqual([making])
    for (const leasedMin of [0, 0.5])
      await expect(store().listKeysToRotate(leasedMin, { limit: 1 })).rejects.toMatchObject({
        name: 'InvariantError',
      })
  })
}

/** All rows, by pages of two. */
async function walk(
  list: (page: PageRequest<KeyPlace>) => Promise<readonly MasterKey[]>,
): Promise<MasterKey[]> {
  const seen: MasterKey[] = []
  for (let page = await list({ limit: 2 }); page.length > 0; ) {
    seen.push(...page)
    const { region = '', keyId = '' } = page.at(-1) ?? {}
    page = await list({ limit: 2, after: { region, keyId } })
  }
  return seen
}

function byPlace(a: MasterKey, b: MasterKey): number {
  if (a.region !== b.region) return a.region < b.region ? -1 : 1
  return a.keyId < b.keyId ? -1 : 1
}
