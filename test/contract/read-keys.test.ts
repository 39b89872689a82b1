import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { beforeEach, describe, expect, it } from 'vitest'
import { readKeys } from '../../src/store/read-keys.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { ALL_STATES, next, rotated, sampleKey } from '../support/key-store-samples.ts'

const { nextPath } = storeFolder()
let path = ''
beforeEach(() => {
  path = nextPath()
})

/** Every file of the store's folder, byte for byte. */
const filesBeside = () =>
  readdirSync(dirname(path))
    .filter((name) => name.startsWith(path.slice(dirname(path).length + 1)))
    .map((name) => [name, readFileSync(`${dirname(path)}/${name}`).toString('base64')])

const byId = (a: { keyId: string }, b: { keyId: string }) => (a.keyId < b.keyId ? -1 : 1)

describe('reading the keys of a store from outside', () => {
  const keys = ALL_STATES.map((state) => sampleKey({ state }))

  it('gives every key in every state and changes no file of a store at rest', async () => {
    const store = await openSqliteStore({ path })
    for (const key of keys) await store.createKey(key)
    await store.replaceKey(rotated(keys[1] ?? sampleKey()))
    await store.close()
    const before = filesBeside()
    expect(before).toHaveLength(1)

    const read = await readKeys(path)
    const expected = [
      ...keys.filter((_, i) => i !== 1),
      rotated(keys[1] ?? sampleKey(), read.find(({ keyId }) => keyId === keys[1]?.keyId)?.primaryVersionId),
    ]
    expect(read.toSorted(byId)).toEqual(expected.toSorted(byId))
    expect(filesBeside()).toEqual(before)
  })

  it('sees what an open store committed a moment ago, and does not hold up its writes', async () => {
    const store = await openSqliteStore({ path })
    const key = sampleKey()
    await store.createKey(key)
    const modes = () => statSync(path).mode & 0o777
    const mode = modes()
    for (let revision = 1; revision < 20; revision++) {
      const [[read]] = await Promise.all([
        readKeys(path),
        store.replaceKey({ ...next(key), revision: revision + 1, description: `${revision}` }),
      ])
      expect([revision, revision + 1]).toContain(read?.revision)
    }
    expect(modes()).toBe(mode)
    expect((await readKeys(path))[0]?.revision).toBe(20)
    await store.close()
  })

  it('reads more keys than one page holds', async () => {
    const store = await openSqliteStore({ path })
    await Promise.all(Array.from({ length: 1001 }, () => store.createKey(sampleKey())))
    expect(new Set((await readKeys(path)).map(({ keyId }) => keyId)).size).toBe(1001)
    await store.close()
  })

  it.each([
    ['that is not there', () => {}, 'ENOENT', 'user'],
    ['that is a folder', () => mkdirSync(path), 'EISDIR', 'user'],
    [
      'that is no database',
      () => writeFileSync(path, 'hello, '.repeat(200)),
      'not an SQLite database',
      'path',
    ],
    [
      'of another program',
      () => new Database(path).exec('create table t(a)').close(),
      'schema_migration',
      'Check',
    ],
  ])('refuses a store %s, with what to do', async (_, make, problem, hint) => {
    make()
    await expect(readKeys(path)).rejects.toMatchObject({
      name: 'StoreOpenError',
      message: expect.stringMatching(new RegExp(`${problem}[\\s\\S]*${hint}`)),
    })
  })

  it.each([
    [
      'older',
      'delete from schema_migration where number = (select max(number) from schema_migration)',
      'SCHEMA_OLDER',
    ],
    ['newer', "insert into schema_migration values (99, 'future', 'x', 0)", 'SCHEMA_NEWER'],
  ])('refuses a store of an %s p11kms', async (_, sql, code) => {
    const store = await openSqliteStore({ path })
    await store.close()
    new Database(path).exec(sql).close()
    await expect(readKeys(path)).rejects.toMatchObject({ problems: [expect.objectContaining({ code })] })
  })
})
