import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { ACCOUNT, next, REGION, sampleAlias, sampleKey } from './key-store-samples.ts'

export function aliasClauses(store: () => KeyStore): void {
  it('STO-12, STO-13 an alias is one of its account and region, told apart by bytes', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const decomposed = 'alias/e\u0301'
    const aliases = ['alias/a', 'alias/A', 'alias/é', decomposed].map((name) => sampleAlias(key, name))
    const foreign = sampleAlias(key, 'alias/a', { accountId: '444455556666' })
    for (const alias of [...aliases, foreign]) await store().createAlias(alias)
    for (const alias of [...aliases, foreign])
      expect(await store().getAlias(alias.accountId, REGION, alias.name)).toStrictEqual(alias)
    expect(await store().getAlias(ACCOUNT, 'us-east-1', 'alias/a')).toBeUndefined()
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/b')).toBeUndefined()
  })

  it('STO-12 a name that is taken is refused, before the key is looked at', async () => {
    const [key, other] = [sampleKey(), sampleKey()]
    await store().createKey(key)
    await store().createAlias(sampleAlias(key, 'alias/a'))
    await expect(store().createAlias(sampleAlias(other, 'alias/a'))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      details: { alias: 'alias/a' },
    })
    expect((await store().getAlias(ACCOUNT, REGION, 'alias/a'))?.keyId).toBe(key.keyId)
  })

  it('STO-12 a key that is not there, in this region at least, gets no alias', async () => {
    const key = sampleKey()
    await store().createKey(key)
    for (const alias of [sampleAlias(sampleKey(), 'alias/a'), sampleAlias(key, 'alias/a', { region: 'x' })])
      await expect(store().createAlias(alias)).rejects.toMatchObject({
        code: 'KEY_NOT_FOUND',
        details: { keyId: alias.keyId },
      })
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/a')).toBeUndefined()
  })

  it('STO-12 a key has 50 aliases at most, whether they are made or moved there', async () => {
    const [key, other] = [sampleKey(), sampleKey()]
    for (const made of [key, other]) await store().createKey(made)
    const names = Array.from({ length: 50 }, (_, n) => `alias/${n}`)
    for (const name of names) await store().createAlias(sampleAlias(key, name))
    const refusal = { code: 'LIMIT_EXCEEDED', details: { limit: 'aliases' } }
    await expect(store().createAlias(sampleAlias(key, 'alias/more'))).rejects.toMatchObject(refusal)
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/more')).toBeUndefined()
    await store().createAlias(sampleAlias(other, 'alias/more'))
    await expect(store().updateAlias(sampleAlias(key, 'alias/more'))).rejects.toMatchObject(refusal)
    expect((await store().getAlias(ACCOUNT, REGION, 'alias/more'))?.keyId).toBe(other.keyId)
    expect(await store().updateAlias(sampleAlias(key, 'alias/7'))).toBe(true)
    await store().deleteAlias(ACCOUNT, REGION, 'alias/7')
    expect(await store().updateAlias(sampleAlias(key, 'alias/more'))).toBe(true)
  })

  it('STO-14 an alias moves to another key and keeps when it was created', async () => {
    const [key, other] = [sampleKey(), sampleKey()]
    await store().createKey(key)
    await store().createKey(other)
    const alias = sampleAlias(key, 'alias/a')
    await store().createAlias(alias)
    const moved = { ...alias, keyId: other.keyId, updatedAt: alias.updatedAt + 5 }
    expect(await store().updateAlias({ ...moved, createdAt: 1 })).toBe(true)
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/a')).toStrictEqual(moved)
  })

  it('STO-14 an alias that is not there does not move, nor does one move to a key that is not there', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const alias = sampleAlias(key, 'alias/a')
    expect(await store().updateAlias(alias)).toBe(false)
    expect(await store().updateAlias(sampleAlias(sampleKey(), 'alias/a'))).toBe(false)
    await store().createAlias(alias)
    await expect(store().updateAlias({ ...alias, keyId: randomUUID() })).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    })
    expect(await store().getAlias(ACCOUNT, REGION, 'alias/a')).toStrictEqual(alias)
  })

  it('STO-23 an alias made or moved at half a millisecond is a bug of the caller', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const bug = { name: 'InvariantError' }
    await expect(store().createAlias(sampleAlias(key, 'alias/a', { createdAt: 0.5 }))).rejects.toMatchObject(
      bug,
    )
    await expect(store().updateAlias(sampleAlias(key, 'alias/a', { updatedAt: 0.5 }))).rejects.toMatchObject(
      bug,
    )
  })

  it('STO-15 one alias goes, of a key that is being deleted as well', async () => {
    const key = sampleKey()
    await store().createKey(key)
    for (const name of ['alias/a', 'alias/b', 'alias/c']) await store().createAlias(sampleAlias(key, name))
    expect(await store().deleteAlias(ACCOUNT, REGION, 'alias/a')).toBe(true)
    expect(await store().deleteAlias(ACCOUNT, REGION, 'alias/a')).toBe(false)
    expect(await store().deleteAlias('444455556666', REGION, 'alias/b')).toBe(false)
    expect(await store().deleteAlias(ACCOUNT, 'us-east-1', 'alias/b')).toBe(false)
    await store().replaceKey(next(key, { state: 'Deleting' }))
    expect(await store().deleteAlias(ACCOUNT, REGION, 'alias/b')).toBe(true)
    const left = await store().listAliases(ACCOUNT, REGION, undefined, { limit: 9 })
    expect(left.map(({ name }) => name)).toStrictEqual(['alias/c'])
  })

  it('STO-16, STO-11 aliases are walked by the UTF-8 bytes of their names', async () => {
    const [key, other] = [sampleKey(), sampleKey()]
    await store().createKey(key)
    await store().createKey(other)
    // By UTF-16 units U+10348 would come before U+FF5E, and by a language's rules Z after a.
    const names = ['/', '0', 'Z', 'Z-', 'a', 'a/', 'aa', 'é', '～', '𐍈'].map((end) => `alias/${end}`)
    for (const name of names.toReversed())
      await store().createAlias(sampleAlias(name.length > 7 ? other : key, name))
    await store().createAlias(sampleAlias(key, 'alias/b', { accountId: '444455556666' }))
    for (const limit of [1, 3, 10, 11])
      expect(await aliasWalk(store(), undefined, limit)).toStrictEqual(names)
    const long = names.filter((name) => name.length > 7)
    expect(await aliasWalk(store(), other.keyId, 2)).toStrictEqual(long)
  })
}

export function textClauses(store: () => KeyStore): void {
  const refused = ['a\0b', '\0', '\ud800', 'a\udc00b']

  it.each([
    '',
    ' a ',
    "'); drop table alias; --",
    '%_\\',
    '\u0001\u007f\n',
    '\ufffd',
    '\ufeff🔑',
    'x'.repeat(8192),
  ])('STO-17 text comes back as it went in: %j', async (text) => {
    const key = sampleKey({ description: text })
    await store().createKey(key)
    await store().createAlias(sampleAlias(key, `alias/${text}`))
    expect((await store().getKey(REGION, key.keyId))?.description).toBe(text)
    expect((await store().getAlias(ACCOUNT, REGION, `alias/${text}`))?.name).toBe(`alias/${text}`)
  })

  it.each(refused)('STO-17 a write or a cursor with %j is refused', async (text) => {
    const key = sampleKey()
    await store().createKey(key)
    const invalid = { code: 'REQUEST_INVALID' }
    await expect(store().createKey(sampleKey({ description: text }))).rejects.toMatchObject({
      ...invalid,
      details: { field: 'description' },
    })
    await expect(store().replaceKey(next(key, { description: text }))).rejects.toMatchObject(invalid)
    await expect(store().createAlias(sampleAlias(key, text))).rejects.toMatchObject(invalid)
    await expect(store().updateAlias(sampleAlias(key, text))).rejects.toMatchObject(invalid)
    const page = { limit: 1, after: text }
    await expect(store().listKeys(ACCOUNT, REGION, page)).rejects.toMatchObject(invalid)
    await expect(store().listAliases(ACCOUNT, REGION, undefined, page)).rejects.toMatchObject(invalid)
    const after = { region: REGION, keyId: text }
    await expect(store().listKeysInState('Enabled', { limit: 1, after })).rejects.toMatchObject(invalid)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it.each(refused)('STO-17 a lookup of %j finds nothing, and no row that looks like it', async (text) => {
    const looksLikeIt = Buffer.from(text).toString().replaceAll('\0', '')
    const key = sampleKey({ keyId: `${looksLikeIt}k`, region: `${looksLikeIt}r` })
    await store().createKey(key)
    await store().createAlias(sampleAlias(key, `alias/${looksLikeIt}`))
    expect(await store().getKey(key.region, `${text}k`)).toBeUndefined()
    expect(await store().findKeyIdByVersion(text)).toBeUndefined()
    expect(await store().getAlias(ACCOUNT, key.region, `alias/${text}`)).toBeUndefined()
    expect(await store().deleteAlias(ACCOUNT, key.region, `alias/${text}`)).toBe(false)
    expect(await store().listKeys(ACCOUNT, `${text}r`, { limit: 1 })).toStrictEqual([])
    expect(await store().listAliases(ACCOUNT, key.region, `${text}k`, { limit: 1 })).toStrictEqual([])
    expect(await store().listAliases(ACCOUNT, key.region, key.keyId, { limit: 1 })).toHaveLength(1)
  })
}

async function aliasWalk(store: KeyStore, keyId: string | undefined, limit: number): Promise<string[]> {
  const seen: string[] = []
  for (;;) {
    const page = await store.listAliases(ACCOUNT, REGION, keyId, { limit, after: seen.at(-1) })
    seen.push(...page.map(({ name }) => name))
    if (page.length < limit) return seen
  }
}
