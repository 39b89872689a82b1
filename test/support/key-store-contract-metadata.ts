import { describe, expect, it } from 'vitest'
import type { KeyState, MasterKey } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import type { KeyUse } from '../../src/core/ports/key-use-store.ts'
import { grantClauses, sampleGrant } from './key-store-contract-grants.ts'
import { next, REGION, sampleKey } from './key-store-samples.ts'

const HIDDEN: readonly KeyState[] = ['Creating', 'Deleting', 'Deleted']
const BUG = { name: 'InvariantError' }
const GONE = { code: 'KEY_NOT_FOUND' }
/** What a store keeps beside keys. */
export function metadataClauses(store: () => KeyStore): void {
  async function made(changes: Partial<MasterKey> = {}): Promise<MasterKey> {
    const key = sampleKey(changes)
    await store().createKey(key)
    return key
  }
  describe('tags', () => tagClauses(store, made))
  describe('policies', () => policyClauses(store, made))
  describe('grants', () => grantClauses(store, made))
  describe('uses', () => useClauses(store, made))
  describe('keys that are hidden', () => belongingClauses(store, made))
}

type Made = (changes?: Partial<MasterKey>) => Promise<MasterKey>

function tagClauses(store: () => KeyStore, made: Made): void {
  const tagsOf = ({ region, keyId }: MasterKey, after?: string, limit = 1000) =>
    store().listTags(region, keyId, { after, limit })

  it('STO-50 tags are added to those of a key, in place of those with their keys', async () => {
    const [key, other] = [await made(), await made()]
    expect(await store().putTags(REGION, key.keyId, [tag('a', '1'), tag('A', '2')], 50)).toBe(true)
    expect(await store().putTags(REGION, key.keyId, [tag('a', ''), tag('b', '𐍈')], 50)).toBe(true)
    expect(await tagsOf(key)).toStrictEqual([tag('A', '2'), tag('a', ''), tag('b', '𐍈')])
    expect(await tagsOf(other)).toStrictEqual([])
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-50, STO-2 a key that would have too many tags keeps those that it has', async () => {
    const key = await made()
    const tags = Array.from({ length: 3 }, (_, n) => tag(`${n}`))
    expect(await store().putTags(REGION, key.keyId, tags, 3)).toBe(true)
    expect(await store().putTags(REGION, key.keyId, [tag('0', 'x'), tag('3')], 3)).toBe(false)
    expect(await tagsOf(key)).toStrictEqual(tags)
    expect(await store().putTags(REGION, key.keyId, [tag('0', 'x'), tag('1', 'y')], 3)).toBe(true)
    expect(await tagsOf(key)).toStrictEqual([tag('0', 'x'), tag('1', 'y'), tag('2')])
    expect(await store().putTags(REGION, key.keyId, [tag('0')], 2)).toBe(false)
  })

  it('STO-51, STO-11 tags are listed in pages by the bytes of their keys, and taken away', async () => {
    const key = await made()
    const keys = ['A', 'a', 'é', '～', '𐍈']
    await store().putTags(
      REGION,
      key.keyId,
      keys.toReversed().map((name) => tag(name)),
      50,
    )
    expect((await tagsOf(key, undefined, 2)).map((one) => one.key)).toStrictEqual(['A', 'a'])
    expect((await tagsOf(key, 'a')).map((one) => one.key)).toStrictEqual(['é', '～', '𐍈'])
    await store().removeTags(REGION, key.keyId, ['a', 'none', '～', 'nul\0', 'a'])
    expect((await tagsOf(key)).map((one) => one.key)).toStrictEqual(['A', 'é', '𐍈'])
    await store().removeTags('us-east-1', key.keyId, ['A'])
    await store().removeTags(REGION, key.keyId, [])
    expect(await tagsOf(key)).toHaveLength(3)
  })

  it('STO-50, STO-17 tags twice, none, too many, or that cannot be kept are refused', async () => {
    const key = await made()
    const put = (tags: ReturnType<typeof tag>[]) => store().putTags(REGION, key.keyId, tags, 50)
    await expect(put([])).rejects.toMatchObject(BUG)
    await expect(put([tag('a'), tag('a')])).rejects.toMatchObject(BUG)
    await expect(put(Array.from({ length: 51 }, (_, n) => tag(`${n}`)))).rejects.toMatchObject(BUG)
    for (const bad of [tag('\0'), tag('a', '\ud800')])
      await expect(put([bad])).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    await expect(store().removeTags(REGION, key.keyId, Array(1001).fill('a'))).rejects.toMatchObject(BUG)
    await expect(tagsOf(key, undefined, 0)).rejects.toMatchObject(BUG)
    expect(await tagsOf(key)).toStrictEqual([])
  })
}

function tag(key: string, value = '') {
  return { key, value }
}

function policyClauses(store: () => KeyStore, made: Made): void {
  it('STO-52 a policy is kept per key, region and language, as it was written, the last one put', async () => {
    const [key, other] = [await made(), await made()]
    expect(await store().getKeyPolicies(REGION, key.keyId)).toStrictEqual({})
    await store().putKeyPolicy(REGION, key.keyId, 'AWS', '{"a": 1}')
    const AWS = ` ÿ${'x'.repeat(32_000)}\r\n`
    await store().putKeyPolicy(REGION, key.keyId, 'AWS', AWS)
    expect(await store().getKeyPolicies(REGION, key.keyId)).toStrictEqual({ AWS })
    await store().putKeyPolicy(REGION, key.keyId, 'RAM', '{}')
    expect(await store().getKeyPolicies(REGION, key.keyId)).toStrictEqual({ AWS, RAM: '{}' })
    expect(await store().getKeyPolicies('us-east-1', key.keyId)).toStrictEqual({})
    expect(await store().getKeyPolicies(REGION, other.keyId)).toStrictEqual({})
    expect(await store().getKeyPolicies(REGION, 'nul\0')).toStrictEqual({})
    await expect(store().putKeyPolicy(REGION, key.keyId, 'RAM', '')).rejects.toMatchObject(BUG)
    const unkept = store().putKeyPolicy(REGION, key.keyId, 'AWS', '\0')
    await expect(unkept).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  })
}

function useClauses(store: () => KeyStore, made: Made): void {
  const use = ({ region, keyId }: MasterKey, changes: Partial<KeyUse> = {}): KeyUse => ({
    region,
    keyId,
    operation: 'Decrypt',
    usedAt: 1000,
    requestId: 'r',
    ...changes,
  })
  const useOf = ({ region, keyId }: MasterKey) => store().getKeyUse(region, keyId)

  it('STO-56 the latest use of each key is kept, whatever comes when', async () => {
    const [one, two] = [await made(), await made()]
    expect(await useOf(one)).toBeUndefined()
    await store().putKeyUses([])
    await store().putKeyUses([use(one), use(two, { usedAt: 5 })])
    const { requestId: _, ...nameless } = use(one, { operation: 'Sign', usedAt: 1001 })
    await store().putKeyUses([nameless, use(two, { usedAt: 4, operation: 'Encrypt' })])
    expect(await useOf(one)).toStrictEqual(nameless)
    expect(await useOf(two)).toStrictEqual(use(two, { usedAt: 5 }))
    const same = use(two, { usedAt: 5, operation: 'Verify' })
    await store().putKeyUses([same])
    expect(await useOf(two)).toStrictEqual(same)
    expect(await store().getKeyUse(REGION, 'nul\0')).toBeUndefined()
  })

  it('STO-56 uses are kept since some time before now', async () => {
    const since = await store().keyUsesSince()
    expect(Math.abs(Date.now() - since)).toBeLessThan(60_000)
  })

  it('STO-56 uses of one key twice, too many, or at no time are a bug of the caller', async () => {
    const key = await made()
    const many = Array.from({ length: 1001 }, () => use(sampleKey()))
    for (const uses of [[use(key), use(key)], many, [use(key, { usedAt: 0.5 })]])
      await expect(store().putKeyUses(uses)).rejects.toMatchObject(BUG)
    expect(await useOf(key)).toBeUndefined()
  })

  it.each(HIDDEN)('STO-56 uses of keys in %s, or of none, are left out', async (state) => {
    const [key, other] = [await made({ state }), await made()]
    await store().putKeyUses([use(key), use(sampleKey()), use(other)])
    expect(await useOf(key)).toBeUndefined()
    expect(await useOf(other)).toStrictEqual(use(other))
  })
}

function belongingClauses(store: () => KeyStore, made: Made): void {
  it('STO-57 a key that becomes Deleted takes along all that belongs to it', async () => {
    const [key, other] = [await made(), await made()]
    const grants = [sampleGrant(key), sampleGrant(other)]
    for (const [index, one] of [key, other].entries()) {
      await store().putTags(REGION, one.keyId, [tag('a')], 50)
      await store().putKeyPolicy(REGION, one.keyId, 'RAM', '{}')
      await store().createGrant(grants[index] ?? sampleGrant(one), 9)
      await store().putKeyUses([{ region: REGION, keyId: one.keyId, operation: 'Decrypt', usedAt: 1 }])
    }
    const left = async ({ keyId }: MasterKey) => [
      await store().listTags(REGION, keyId, { limit: 9 }),
      (await store().getKeyPolicies(REGION, keyId)).RAM,
      await store().listGrants(REGION, keyId, undefined, { limit: 9 }),
      await store().getKeyUse(REGION, keyId),
    ]
    const before = await left(other)
    expect(await store().replaceKey(next(key, { state: 'Deleting' }))).toBe(true)
    expect(await left(key)).not.toContain(undefined)
    expect(await store().replaceKey(next(key, { state: 'Deleted', revision: 3 }))).toBe(true)
    expect(await left(key)).toStrictEqual([[], undefined, [], undefined])
    expect(await left(other)).toStrictEqual(before)
  })

  it.each(HIDDEN)('STO-57 a key in %s is given nothing', async (state) => {
    const { keyId, ...key } = await made({ state })
    await expect(store().putTags(REGION, keyId, [tag('a')], 50)).rejects.toMatchObject(GONE)
    await expect(store().putKeyPolicy(REGION, keyId, 'AWS', '{}')).rejects.toMatchObject(GONE)
    const grant = sampleGrant({ ...key, keyId })
    await expect(store().createGrant(grant, 9)).rejects.toMatchObject(GONE)
    await expect(store().putTags('x', keyId, [tag('a')], 50)).rejects.toMatchObject(GONE)
    await expect(store().putKeyPolicy(REGION, 'nul\0', 'AWS', '{}')).rejects.toMatchObject(GONE)
  })

  it('STO-58, STO-2 a key is made with its tags and its policies, or not at all', async () => {
    const key = sampleKey({ state: 'Creating' })
    const tags = [tag('a', 'b'), tag('c')]
    await store().createKey(key, { tags, policies: { RAM: '{}' } })
    expect(await store().listTags(REGION, key.keyId, { limit: 9 })).toStrictEqual(tags)
    expect(await store().getKeyPolicies(REGION, key.keyId)).toStrictEqual({ RAM: '{}' })
    const refused = sampleKey()
    const attached = { tags: [tag('a'), tag('\0')] }
    await expect(store().createKey(refused, attached)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    await expect(store().createKey(refused, { tags: [tag('a'), tag('a')] })).rejects.toMatchObject(BUG)
    await expect(store().createKey(refused, { policies: { AWS: '' } })).rejects.toMatchObject(BUG)
    expect(await store().getKey(REGION, refused.keyId)).toBeUndefined()
    await store().createKey(refused, { tags: [] })
  })
}
