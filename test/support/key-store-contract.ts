import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MasterKey } from '../../src/core/key.ts'
import type { WithImports } from '../../src/core/ports/import-store.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { aliasClauses, textClauses } from './key-store-contract-aliases.ts'
import { importClauses } from './key-store-contract-imports.ts'
import { invocationClauses } from './key-store-contract-invocations.ts'
import { changeClauses, keyClauses } from './key-store-contract-keys.ts'
import { metadataClauses } from './key-store-contract-metadata.ts'
import { pairVersionClauses } from './key-store-contract-pair-versions.ts'
import { regionClauses } from './key-store-contract-regions.ts'
import { rotationClauses } from './key-store-contract-rotations.ts'
import { tombstoneClauses } from './key-store-contract-tombstones.ts'
import { ACCOUNT, ALL_STATES, next, REGION, rotated, sampleAlias, sampleKey } from './key-store-samples.ts'

/** The behaviour that every KeyStore owes its callers; each backend's test file calls this once. */
export function keyStoreContract(open: () => Promise<KeyStore & WithImports>): void {
  let store: KeyStore & WithImports
  beforeEach(async () => {
    store = await open()
  })
  afterEach(async () => {
    await store.close()
  })
  describe('keys', () => keyClauses(() => store))
  describe('changes of keys', () => changeClauses(() => store))
  describe('listings of keys', () => listingClauses(() => store))
  describe('keys of several regions', () => regionClauses(() => store))
  describe('aliases', () => aliasClauses(() => store))
  describe('aliases and tombstones', () => tombstoneClauses(() => store))
  describe('invocations', () => invocationClauses(() => store))
  describe('imports', () => importClauses(() => store))
  describe('rotations', () => rotationClauses(() => store))
  describe('versions of key pairs', () => pairVersionClauses(() => store))
  describe('canaries', () => canaryClauses(() => store))
  describe('what belongs to keys', () => metadataClauses(() => store))
  describe('text', () => textClauses(() => store))
  describe('the store itself', () => storeClauses(() => store))
}

function listingClauses(store: () => KeyStore): void {
  it('STO-9 an account sees its keys of a region by key id, whole, but for the hidden states', async () => {
    const keys = ALL_STATES.flatMap((state) => [rotated(sampleKey({ state })), sampleKey({ state })])
    const others = [sampleKey({ accountId: '444455556666' }), sampleKey({ region: 'us-east-1' })]
    for (const key of [...keys, ...others]) await store().createKey(key)
    const shown = keys.filter(({ state }) =>
      ['PendingImport', 'Enabled', 'Disabled', 'PendingDeletion', 'PendingReplicaDeletion'].includes(state),
    )
    expect(await store().listKeys(ACCOUNT, REGION, { limit: 1000 })).toStrictEqual(byId(shown))
    expect(await store().listKeys('777788889999', REGION, { limit: 1 })).toStrictEqual([])
  })

  it('STO-10, STO-11 the keys in a state are walked over all accounts and regions', async () => {
    const keys = ['b', 'a', 'c', 'a', 'b', 'a'].map((region, n) =>
      rotated(sampleKey({ region, accountId: `${n}`, state: 'Deleting' })),
    )
    for (const key of [...keys, sampleKey({ region: 'a' })]) await store().createKey(key)
    const expected = ['a', 'b', 'c'].flatMap((name) => byId(keys.filter(({ region }) => region === name)))
    for (const limit of [1, 2, 6, 7]) {
      const seen: MasterKey[] = []
      for (let page = await store().listKeysInState('Deleting', { limit }); page.length > 0; ) {
        expect(page.length).toBeLessThanOrEqual(limit)
        seen.push(...page)
        const { region = '', keyId = '' } = page.at(-1) ?? {}
        page = await store().listKeysInState('Deleting', { limit, after: { region, keyId } })
      }
      expect(seen).toStrictEqual(expected)
    }
  })

  it('STO-11 a walk sees each lasting key once while others come and go', async () => {
    const lasting = Array.from({ length: 9 }, () => sampleKey())
    const passing = Array.from({ length: 9 }, () => sampleKey())
    for (const key of [...lasting, ...passing]) await store().createKey(key)
    const seen: string[] = []
    for (let page = await store().listKeys(ACCOUNT, REGION, { limit: 2 }); page.length > 0; ) {
      seen.push(...page.map(({ keyId }) => keyId))
      await store().createKey(sampleKey())
      const gone = passing.pop()
      if (gone) await store().replaceKey(next(gone, { state: 'Deleting' }))
      page = await store().listKeys(ACCOUNT, REGION, { limit: 2, after: seen.at(-1) })
    }
    expect(seen).toStrictEqual([...new Set(seen)].toSorted())
    expect(seen).toEqual(expect.arrayContaining(lasting.map(({ keyId }) => keyId)))
  })

  it('STO-40 the keys of one token in a state are walked by region, then key id', async () => {
    const keys = ['b', 'a', 'b', 'a'].map((region) => sampleKey({ region, token: 'one' }))
    const others = [sampleKey({ token: 'two' }), sampleKey({ token: 'one', state: 'Disabled' })]
    for (const key of [...keys, ...others]) await store().createKey(key)
    const expected = ['a', 'b'].flatMap((name) => byId(keys.filter(({ region }) => region === name)))
    const first = await store().listKeysOfToken('one', 'Enabled', { limit: 3 })
    const { region = '', keyId = '' } = first.at(-1) ?? {}
    const rest = await store().listKeysOfToken('one', 'Enabled', { limit: 3, after: { region, keyId } })
    expect([...first, ...rest]).toStrictEqual(expected)
    expect(await store().listKeysOfToken('three', 'Enabled', { limit: 3 })).toStrictEqual([])
  })

  it('STO-41 the tokens that keys name are told with how many do, tombstones left out', async () => {
    expect(await store().listTokens()).toStrictEqual([])
    const keys = [
      ...ALL_STATES.map((state) => sampleKey({ state, token: 'two' })),
      sampleKey({ token: 'one' }),
      sampleKey({ token: 'gone', state: 'Deleted' }),
    ]
    for (const key of keys) await store().createKey(key)
    const living = byId(keys.filter(({ token, state }) => token === 'two' && state !== 'Deleted'))
    expect(await store().listTokens()).toStrictEqual([
      { token: 'one', keys: 1, keyId: keys.at(-2)?.keyId },
      { token: 'two', keys: ALL_STATES.length - 1, keyId: living[0]?.keyId },
    ])
  })

  it.each([0, -1, 1.5, 1001, Number.NaN])(
    'STO-11 a page of %d rows is a bug of the caller',
    async (limit) => {
      const bug = { name: 'InvariantError' }
      await expect(store().listKeys(ACCOUNT, REGION, { limit })).rejects.toMatchObject(bug)
      await expect(store().listKeysInState('Enabled', { limit })).rejects.toMatchObject(bug)
      await expect(store().listAliases(ACCOUNT, REGION, undefined, { limit })).rejects.toMatchObject(bug)
    },
  )
}

function canaryClauses(store: () => KeyStore): void {
  it('STO-42 a canary is kept per version, the last one put', async () => {
    const [key, other] = [rotated(sampleKey()), sampleKey()]
    for (const one of [key, other]) await store().createKey(one)
    const [first = '', second = ''] = key.versions.map(({ versionId }) => versionId)
    expect(await store().getCanary(first)).toBeUndefined()
    await store().putCanary(first, 'a')
    await store().putCanary(second, 'b'.repeat(8192))
    await store().putCanary(first, 'c')
    expect(await store().getCanary(first)).toBe('c')
    expect(await store().getCanary(second)).toBe('b'.repeat(8192))
    expect(await store().getCanary(other.primaryVersionId)).toBeUndefined()
    expect(await store().getCanary('nul\0')).toBeUndefined()
  })

  it.each([
    ['of no version', 'none', 'a'],
    ['that is empty', undefined, ''],
    ['that is too long', undefined, 'a'.repeat(8193)],
  ])('STO-42 a canary %s is a bug of the caller', async (_, versionId, canary) => {
    const key = sampleKey()
    await store().createKey(key)
    const put = store().putCanary(versionId ?? key.primaryVersionId, canary)
    await expect(put).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getCanary(key.primaryVersionId)).toBeUndefined()
  })
}

function storeClauses(store: () => KeyStore): void {
  it('STO-1 a change is seen by whatever is asked once its promise has resolved', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const reads = Array.from({ length: 5 }, () => store().getKey(REGION, key.keyId))
    for (const found of await Promise.all(reads)) expect(found).toStrictEqual(key)
  })

  it('STO-19 a store that works answers a ping', async () => {
    await store().ping()
    await store().ping()
  })

  it('STO-18 closing finishes what was asked before, may be repeated, and ends every service', async () => {
    const key = sampleKey()
    const asked = Array.from({ length: 5 }, () => store().createKey(sampleKey()))
    await Promise.all([...asked, store().close(), store().close()])
    const closed = { code: 'STORE_UNAVAILABLE' }
    await expect(store().ping()).rejects.toMatchObject(closed)
    await expect(store().createKey(key)).rejects.toMatchObject(closed)
    await expect(store().getKey(REGION, key.keyId)).rejects.toMatchObject(closed)
    await expect(store().listAliases(ACCOUNT, REGION, undefined, { limit: 1 })).rejects.toMatchObject(closed)
  })

  it('STO-20 values belong to the caller, before and after', async () => {
    const key = sampleKey()
    const pristine = structuredClone(key)
    await store().createKey(key)
    const alias = sampleAlias(key, 'alias/a')
    await store().createAlias(alias)
    spoil(key)
    spoil(await store().getKey(REGION, pristine.keyId))
    spoil((await store().listKeys(ACCOUNT, REGION, { limit: 1 }))[0])
    Object.assign(alias, { keyId: 'spoilt' })
    expect(await store().getKey(REGION, pristine.keyId)).toStrictEqual(pristine)
    expect((await store().getAlias(ACCOUNT, REGION, 'alias/a'))?.keyId).toBe(pristine.keyId)
  })
}

function spoil(key: MasterKey | undefined): void {
  Object.assign(key?.versions[0] ?? {}, { versionId: 'spoilt' })
  Object.assign(key ?? {}, { description: 'spoilt', state: 'Deleted' })
}

function byId(keys: readonly MasterKey[]): MasterKey[] {
  return keys.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1))
}
