import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import Database from 'better-sqlite3'
import { beforeEach, describe, expect, it } from 'vitest'
import { ALIASES_PER_KEY_MAX } from '../../src/core/alias.ts'
import type { MasterKey } from '../../src/core/key.ts'
import { checksumOf } from '../../src/store/migrate.ts'
import { MIGRATIONS } from '../../src/store/migrations/index.ts'
import type { Migration } from '../../src/store/migrations/migration.ts'
import { migratedStore, openSqliteStore, SQLITE_TYPES } from '../../src/store/sqlite.ts'
import { openConnection } from '../../src/store/sqlite-connection.ts'
import { createStoreFile } from '../../src/store/sqlite-file.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { REGION, rotated, sampleAlias, sampleKey } from '../support/key-store-samples.ts'

const { nextPath } = storeFolder()
let path = ''
beforeEach(() => {
  path = nextPath()
})

/** Changes a closed store behind its back. */
function tamper(sql: string): void {
  const database = new Database(path)
  database.exec(sql)
  database.close()
}

async function makeStore(): Promise<void> {
  const store = await openSqliteStore({ path })
  await store.close()
}

const refusedWith = (...codes: readonly string[]) => ({
  name: 'StoreOpenError',
  problems: codes.map((code) => ({
    code,
    problem: expect.stringMatching(/\.$/),
    hint: expect.stringMatching(/./),
  })),
})

describe('the file of a SQLite store', () => {
  it('STO-1 everything is there when the store is opened again', async () => {
    const key = rotated(sampleKey())
    const first = await openSqliteStore({ path })
    await first.createKey(key)
    await first.createAlias(sampleAlias(key, 'alias/a'))
    await first.close()
    const second = await openSqliteStore({ path })
    expect(await second.getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(await second.getAlias(key.accountId, REGION, 'alias/a')).toStrictEqual(sampleAlias(key, 'alias/a'))
    await second.close()
  })

  it('STO-30 durability and integrity are really on', async () => {
    createStoreFile(path)
    const database = await openConnection(path, 0)
    const read = ['journal_mode', 'synchronous', 'fullfsync', 'foreign_keys'].map((name) =>
      database.pragma(name, { simple: true }),
    )
    expect(read).toStrictEqual(['wal', 2, 1, 1])
    database.close()
  })

  it('STO-31 the file and those beside it are for their owner alone', async () => {
    const umask = process.umask(0)
    const store = await openSqliteStore({ path })
    await store.ping()
    process.umask(umask)
    const modes = ['', '-wal', '-shm'].map((end) => statSync(path + end).mode & 0o777)
    expect(modes).toStrictEqual([0o600, 0o600, 0o600])
    await store.close()
  })

  it('STO-31 a file that others may write is refused', async () => {
    await makeStore()
    chmodSync(path, 0o620)
    await expect(openSqliteStore({ path })).rejects.toMatchObject(refusedWith('FILE_WRITABLE_BY_OTHERS'))
  })

  it.each([
    ['DIRECTORY_MISSING', () => `${path}/missing/p11kms.db`],
    ['FILE_NOT_REGULAR', () => (mkdirSync(path), path)],
    [
      'FILE_NOT_DATABASE',
      () => (writeFileSync(path, 'this is no database'.repeat(999), { mode: 0o600 }), path),
    ],
    ['DATABASE_FOREIGN', () => (tamper('create table theirs (a text)'), chmodSync(path, 0o600), path)],
  ])('STO-32 it is refused with %s', async (code, make) => {
    const bad = make()
    const before = existsSync(bad) && statSync(bad).isFile() ? readFileSync(bad) : undefined
    await expect(openSqliteStore({ path: bad })).rejects.toMatchObject(refusedWith(code))
    if (before) expect(readFileSync(bad).equals(before)).toBe(true)
  })

  it('STO-32 a damaged file is refused', async () => {
    await makeStore()
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 4096 * 2, 4096 * 5)
    writeFileSync(path, bytes)
    await expect(openSqliteStore({ path })).rejects.toMatchObject(refusedWith('FILE_DAMAGED'))
  })

  it('STO-32 an empty file is a new store', async () => {
    appendFileSync(path, '', { mode: 0o600 })
    const store = await openSqliteStore({ path })
    expect(await store.schemaVersion()).toBe(MIGRATIONS.length)
    await store.close()
  })
})

describe('migrations', () => {
  /** Frozen: an edited migration would refuse every store that is out there. Rows are only ever added. */
  const RELEASED = [
    '534001f32649aca2d9164eeb8bd7933238603e24283d7707bf93cb57daa8fd92',
    'fa4c3bb210bb38f39df218750e722a9ac7f5e13f3f45dcdadea7576fb18b67a4',
    '5c123ae5a7dde771695087479bd0cabec225fac54548971b9512a5b6549873a6',
    '6a00d0764fe30b98cdd794613c6be4965e648f902f37438ea174e1912d235669',
    '28c6191b992b2f2a5976a10e976987a8d807fcc6dd2077f5778f651dbd31431e',
    'e72cfc7ec7a2c4064fe838c92b6d5f03e807300175221d196116be597f809582',
    '73427965f0bceaacd7ec04f4bf14ca1f99b74e9de386bcc48d175a0768357258',
    '6abcbed869656a06ce7720361418a2d4a5242cabc4e878ac171e51c7f5e24523',
    '33c543b7bf97c3aa3a6575693255ade2bc5e5db0e68415939d61a1cb3e95798e',
    '4375fdd823dadaf25bba9713f5ab32e9ddd14e415a28e57b588c1b75313c4b63',
    '8d3cfc73dc50e662b5519730219e377a7e6594de660dabbc1d07283821a6043a',
    '7047de6c5ad3f6c0e648e84166fac524e0052450238fb15a03f0621b379ecc65',
    '102ae2d45a1605d0070e3082bdfb04d5e81eb64270770e99b391c1ee6e6f3754',
    'ad186fb9315d26d2589b8ca7b3651251b9cdb76dca5a5dfa78d56217bf913942',
    '5b6890f0f41093640f37f8cf207c0d5ebb2f0d0b0076601ebc5abfe70c1b558b',
    '063d2b17754edde0c22a09a3f85e944e856366019d8a00350ca18acaedf47a0d',
  ]

  it('STO-33 released migrations are what they were', () => {
    expect(MIGRATIONS.map((released) => checksumOf(released, SQLITE_TYPES))).toStrictEqual(RELEASED)
    expect(MIGRATIONS.map(({ number }) => number)).toStrictEqual(RELEASED.map((_, index) => index + 1))
  })

  it('STO-12 aliases of before there was a bound stay, and can be pointed at their key again', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    await store.createAlias(sampleAlias(key, 'alias/a'))
    await store.close()
    const more = Array.from({ length: ALIASES_PER_KEY_MAX }, (_, index) => `('alias/old-${index}')`)
    tamper(
      `insert into alias select account_id, region, old.column1, key_id, 0, 0 from alias, (values ${more.join()}) as old`,
    )
    const later = await openSqliteStore({ path })
    const listed = await later.listAliases(key.accountId, REGION, key.keyId, { limit: 100 })
    expect(listed).toHaveLength(ALIASES_PER_KEY_MAX + 1)
    expect(await later.updateAlias(sampleAlias(key, 'alias/old-0'))).toBe(true)
    const another = later.createAlias(sampleAlias(key, 'alias/b'))
    await expect(another).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await later.close()
  })

  it('STO-33 a pending migration is applied to what is there, once, and all of it or nothing', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    await store.close()
    const good = migration('add-tag', ['create table tag (a integer)', 'insert into tag (a) values (1)'])
    const bad = {
      ...migration('broken', ['create table half (a integer)', 'no sql']),
      number: MIGRATIONS.length + 2,
    }
    await expect(reopen([...MIGRATIONS, good, bad])).rejects.toThrow('syntax error')
    expect(tables()).not.toContain('tag')
    for (let time = 0; time < 2; time++) {
      const newer = await reopen([...MIGRATIONS, good])
      expect(await newer.schemaVersion()).toBe(MIGRATIONS.length + 1)
      expect(await newer.getKey(REGION, key.keyId)).toStrictEqual(key)
      await newer.close()
    }
    expect(tables()).toEqual(expect.arrayContaining(['tag', 'master_key']))
  })

  it('STO-33 versions of before invocations were counted start with a quarter of the bound used', async () => {
    createStoreFile(path)
    await (await reopen(MIGRATIONS.slice(0, 1))).close()
    tamper("insert into key_version values ('of-before', 'key', 1, 0)")
    const store = await openSqliteStore({ path })
    const fresh = sampleKey()
    await store.createKey(fresh)
    const lease = (versionId: string) => store.leaseInvocations(versionId, 1, 2 ** 32)
    expect(await lease('of-before')).toStrictEqual({ first: 2 ** 30, count: 1 })
    expect(await lease(fresh.primaryVersionId)).toStrictEqual({ first: 0, count: 1 })
    await store.close()
  })

  it('STO-33 versions of before schedules were rotated by the bound, and one in the making is made for it', async () => {
    createStoreFile(path)
    await (await reopen(MIGRATIONS.slice(0, 6))).close()
    tamper("insert into key_version values ('one', 'key', 1, 5)")
    tamper("insert into key_version values ('two', 'key', 2, 7)")
    tamper(
      "insert into master_key values ('r', 'key', '1', 'main', 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', 'Enabled', '', 5, null, 'two', 3, 'three', 'Making', 9)",
    )
    const store = await openSqliteStore({ path })
    const key = await store.getKey('r', 'key')
    expect(key?.versions).toStrictEqual([
      { versionId: 'one', number: 1, createdAt: 5 },
      { versionId: 'two', number: 2, createdAt: 7, rotation: { type: 'AUTOMATIC', at: 7 } },
    ])
    expect(key?.pendingVersion).toStrictEqual({
      versionId: 'three',
      state: 'Making',
      rotation: 'AUTOMATIC',
      createdAt: 9,
    })
    await store.close()
  })

  it('STO-33 policies of before there were languages are of AWS', async () => {
    createStoreFile(path)
    await (await reopen(MIGRATIONS.slice(0, 14))).close()
    tamper("insert into key_version (version_id, key_id, number, created_at) values ('one', 'key', 1, 5)")
    tamper(
      "insert into master_key (region, key_id, account_id, token, spec, usage, state, description, created_at, primary_version_id, revision) values ('r', 'key', '1', 'main', 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', 'Enabled', '', 5, 'one', 3)",
    )
    tamper("insert into key_policy values ('r', 'key', '{\"a\": 1}')")
    const store = await openSqliteStore({ path })
    expect(await store.getKeyPolicies('r', 'key')).toStrictEqual({ AWS: '{"a": 1}' })
    await store.putKeyPolicy('r', 'key', 'RAM', '{}')
    expect(await store.getKeyPolicies('r', 'key')).toStrictEqual({ AWS: '{"a": 1}', RAM: '{}' })
    await store.close()
  })

  it('the statement for a restored store raises the count of every version', async () => {
    const page = readFileSync(new URL('../../docs/operating/rotation.md', import.meta.url), 'utf8')
    const statement = /sqlite3 \S+ "([^"]+)"/.exec(page)?.[1] ?? ''
    const [used, unused] = [sampleKey(), sampleKey()]
    const before = await openSqliteStore({ path })
    for (const key of [used, unused]) await before.createKey(key)
    await before.leaseInvocations(used.primaryVersionId, 7, 2 ** 32)
    await before.close()
    tamper(statement)
    const store = await openSqliteStore({ path })
    const lease = (key: MasterKey) => store.leaseInvocations(key.primaryVersionId, 1, 2 ** 32)
    expect(await lease(used)).toStrictEqual({ first: 2 ** 30 + 7, count: 1 })
    expect(await lease(unused)).toStrictEqual({ first: 2 ** 30, count: 1 })
    await store.close()
  })

  it.each([
    ['MIGRATION_CHANGED', "update schema_migration set checksum = 'x' where number = 1"],
    ['MIGRATION_CHANGED', "update schema_migration set name = 'other' where number = 1"],
    ['SCHEMA_NEWER', "insert into schema_migration values (99, 'future', 'x', 0)"],
  ])('STO-34 a store is refused with %s after: %s', async (code, sql) => {
    await makeStore()
    tamper(sql)
    const before = readFileSync(path)
    await expect(openSqliteStore({ path })).rejects.toMatchObject(refusedWith(code))
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  it('STO-34 every migration in the way is named at once', async () => {
    await makeStore()
    tamper(
      "update schema_migration set checksum = 'x' where number = 1; insert into schema_migration values (99, 'future', 'x', 0)",
    )
    await expect(openSqliteStore({ path })).rejects.toMatchObject(
      refusedWith('MIGRATION_CHANGED', 'SCHEMA_NEWER'),
    )
  })

  function migration(name: string, statements: readonly string[]): Migration {
    return { number: MIGRATIONS.length + 1, name, statements: () => statements }
  }

  async function reopen(migrations: readonly Migration[]) {
    return migratedStore(await openConnection(path, 0), 0, migrations)
  }

  function tables(): unknown[] {
    const database = new Database(path)
    const names = database.prepare('select name from sqlite_schema').pluck().all()
    database.close()
    return names
  }
})
