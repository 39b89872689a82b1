import { expect, it } from 'vitest'
import type { KeyState, MasterKey } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import {
  ACCOUNT,
  ALL_STATES,
  next,
  REGION,
  rotated,
  sampleAlias,
  sampleKey,
  samplePrimary,
} from './key-store-samples.ts'

const HIDDEN: readonly KeyState[] = ['Creating', 'Deleting', 'Deleted']
const VISIBLE = ALL_STATES.filter((state) => !HIDDEN.includes(state))
const OTHER_ACCOUNT = '444455556666'

/** What keeps an alias from naming a key that is gone. */
export function tombstoneClauses(store: () => KeyStore): void {
  async function made(changes: Partial<MasterKey> = {}): Promise<MasterKey> {
    const key = sampleKey(changes)
    await store().createKey(key)
    return key
  }

  async function namesOf({ keyId }: MasterKey): Promise<string[]> {
    const aliases = await store().listAliases(ACCOUNT, REGION, keyId, { limit: 1000 })
    return aliases.map(({ name }) => name)
  }

  it("STO-8 a key that becomes Deleted takes its aliases along, every account's, and their names are free", async () => {
    const [key, other] = [await made(), await made()]
    for (const name of ['alias/a', 'alias/b']) await store().createAlias(sampleAlias(key, name))
    await store().createAlias(sampleAlias(key, 'alias/a', { accountId: OTHER_ACCOUNT }))
    await store().createAlias(sampleAlias(other, 'alias/c'))
    expect(await store().replaceKey(next(key, { state: 'Deleted' }))).toBe(true)
    expect(await namesOf(key)).toStrictEqual([])
    expect(await store().getAlias(OTHER_ACCOUNT, REGION, 'alias/a')).toBeUndefined()
    expect(await namesOf(other)).toStrictEqual(['alias/c'])
    await store().createAlias(sampleAlias(other, 'alias/a'))
  })

  it.each(ALL_STATES.slice(0, -1))('STO-8 a key that becomes %s keeps its aliases', async (state) => {
    const waits = state === 'PendingReplicaDeletion'
    const key = waits ? samplePrimary() : sampleKey()
    await store().createKey(key)
    await store().createAlias(sampleAlias(key, 'alias/a'))
    const change = next(key, { state, ...(waits && { deletionWindowDays: 7 }) })
    expect(await store().replaceKey(change)).toBe(true)
    expect(await namesOf(key)).toStrictEqual(['alias/a'])
  })

  it('STO-8, STO-2 a deletion that is not stored takes no alias along', async () => {
    const [key, other] = [await made(), await made()]
    await store().createAlias(sampleAlias(key, 'alias/a'))
    expect(await store().replaceKey(next(key, { state: 'Deleted', revision: 3 }))).toBe(false)
    const refused: MasterKey = { ...rotated(key, other.primaryVersionId), state: 'Deleted' }
    await expect(store().replaceKey(refused)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await namesOf(key)).toStrictEqual(['alias/a'])
  })

  it.each([
    ['Deleting', ALL_STATES.filter((state) => state !== 'Deleted')],
    ['Deleted', ALL_STATES],
  ] as const)('STO-24 a key in %s never comes back', async (state, refused) => {
    const key = await made({ state })
    for (const wanted of refused)
      await expect(store().replaceKey(next(key, { state: wanted }))).rejects.toMatchObject({
        name: 'InvariantError',
      })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(await store().replaceKey(next(key, { state: 'Deleted', revision: 3 }))).toBe(false)
    if (state === 'Deleting') expect(await store().replaceKey(next(key, { state: 'Deleted' }))).toBe(true)
  })

  it.each(HIDDEN)('STO-8 a key in %s gets no alias, neither a new one nor another key’s', async (state) => {
    const [key, other] = [await made({ state }), await made()]
    const alias = sampleAlias(other, 'alias/a')
    await store().createAlias(alias)
    const notFound = { code: 'KEY_NOT_FOUND', details: { keyId: key.keyId } }
    await expect(store().createAlias(sampleAlias(key, 'alias/b'))).rejects.toMatchObject(notFound)
    const moved = sampleAlias(key, 'alias/a', { updatedAt: alias.updatedAt + 5 })
    await expect(store().updateAlias(moved)).rejects.toMatchObject(notFound)
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/a')).toStrictEqual(alias)
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/b')).toBeUndefined()
  })

  it.each(HIDDEN)('STO-12, STO-14 the alias is looked at before a key in %s', async (state) => {
    const [key, other] = [await made({ state }), await made()]
    await store().createAlias(sampleAlias(other, 'alias/a'))
    await expect(store().createAlias(sampleAlias(key, 'alias/a'))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    })
    expect(await store().updateAlias(sampleAlias(key, 'alias/b'))).toBe(false)
  })

  it.each(VISIBLE)('STO-8 a key in %s gets aliases, and is itself unchanged by them', async (state) => {
    const [key, other] = [await made({ state }), await made()]
    await store().createAlias(sampleAlias(key, 'alias/a'))
    await store().createAlias(sampleAlias(other, 'alias/b'))
    expect(await store().updateAlias(sampleAlias(key, 'alias/b'))).toBe(true)
    expect(await namesOf(key)).toStrictEqual(['alias/a', 'alias/b'])
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(await store().replaceKey(next(key))).toBe(true)
  })

  it.each([true, false])(
    'STO-8 no alias outlives a deletion asked for at the same time; first: %s',
    async (first) => {
      const [key, other] = [await made(), await made()]
      await store().createAlias(sampleAlias(other, 'alias/moving'))
      const deleting = () => store().replaceKey(next(key, { state: 'Deleted' }))
      const naming = Array.from({ length: 10 }, (_, n) => async () => {
        await store().createAlias(sampleAlias(key, `alias/${n}`))
      })
      const moving = () => store().updateAlias(sampleAlias(key, 'alias/moving'))
      const asked = first ? [deleting, ...naming, moving] : [...naming, moving, deleting]
      await Promise.allSettled(asked.map((ask) => ask()))
      expect(await namesOf(key)).toStrictEqual([])
      expect((await store().getKey(REGION, key.keyId))?.state).toBe('Deleted')
    },
  )
}
