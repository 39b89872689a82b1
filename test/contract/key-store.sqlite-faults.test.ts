import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MIGRATIONS } from '../../src/store/migrations/index.ts'
import type { SqlKeyStore } from '../../src/store/sql-key-store.ts'
import { migratedStore } from '../../src/store/sqlite.ts'
import { openConnection } from '../../src/store/sqlite-connection.ts'
import { createStoreFile } from '../../src/store/sqlite-file.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { next, REGION, rotated, sampleAlias, sampleKey } from '../support/key-store-samples.ts'

const { nextPath } = storeFolder()
const BUSY_TIMEOUT_MS = 300
let path = ''
let store: SqlKeyStore
/** The connection under `store`, to break it. */
let connection: Database.Database

beforeEach(async () => {
  path = nextPath()
  createStoreFile(path)
  connection = await openConnection(path, 0)
  store = await migratedStore(connection, BUSY_TIMEOUT_MS, MIGRATIONS)
})
afterEach(() => store.close())

const unavailable = (code: string) => ({
  name: 'KmsError',
  code: 'STORE_UNAVAILABLE',
  message: 'The key store is not available.',
  cause: {
    name: 'StoreFault',
    code,
    hint: expect.stringMatching(/\.$/),
    cause: { name: 'SqliteError', code },
  },
})

describe('a SQLite store in trouble', () => {
  it('STO-35, STO-2 a full disk refuses changes whole, answers reads, and ends when there is room', async () => {
    const key = sampleKey()
    await store.createKey(key)
    // What migrations have left free is room as well.
    connection.exec('vacuum')
    const pages = Number(connection.pragma('page_count', { simple: true }))
    connection.pragma(`max_page_count = ${pages}`)
    const large = 'x'.repeat(8192)
    const full = unavailable('SQLITE_FULL')
    await expect(store.createKey(sampleKey({ description: large }))).rejects.toMatchObject(full)
    await expect(store.replaceKey({ ...rotated(key), description: large })).rejects.toMatchObject(full)
    expect(await store.getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(connection.inTransaction).toBe(false)
    connection.pragma('max_page_count = 100000')
    expect(await store.replaceKey({ ...rotated(key), description: large })).toBe(true)
  })

  it('STO-35, STO-19 a store that cannot be written says so, to a ping as well, and still answers reads', async () => {
    const key = sampleKey()
    await store.createKey(key)
    connection.pragma('query_only = on')
    const readonly = unavailable('SQLITE_READONLY')
    await expect(store.ping()).rejects.toMatchObject(readonly)
    await expect(store.createKey(sampleKey())).rejects.toMatchObject(readonly)
    await expect(store.replaceKey(next(key))).rejects.toMatchObject(readonly)
    await expect(store.createAlias(sampleAlias(key, 'alias/a'))).rejects.toMatchObject(readonly)
    expect(await store.getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-35 a table that is gone is the store being unavailable', async () => {
    connection.exec('drop table alias')
    await expect(store.getAlias('1', REGION, 'alias/a')).rejects.toMatchObject(unavailable('SQLITE_ERROR'))
  })

  it.each([
    ['a rotation', "update key_version set rotation_type = 'AUTOMATIC', rotated_at = null"],
    ['a rotation schedule', 'update master_key set rotation_period_days = 90'],
    ['a version in the making', "update master_key set pending_version_id = 'v'"],
    ['a material', "update key_version set material_state = 'Imported'"],
  ])('STO-35 a row with half %s is not served', async (what, sql) => {
    const key = sampleKey()
    await store.createKey(key)
    connection.exec(sql)
    await expect(store.getKey(REGION, key.keyId)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      cause: { message: expect.stringContaining(`holds half ${what}`) },
    })
  })

  it.each([
    ['state', "update master_key set state = 'Melted'"],
    ['spec', "update master_key set spec = 'constructor'"],
  ])('STO-35 a row with an unknown %s is not served', async (column, sql) => {
    const key = sampleKey()
    await store.createKey(key)
    connection.exec(sql)
    await expect(store.getKey(REGION, key.keyId)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      cause: { message: expect.stringContaining(`master_key.${column}`) },
    })
  })

  it('STO-19 a ping is a committed write', async () => {
    const beats = () => connection.prepare('select beats from heartbeat').pluck().get()
    const before = beats()
    await store.ping()
    expect(beats()).toBe(Number(before) + 1)
    connection.exec('delete from heartbeat')
    await expect(store.ping()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('STO-36 past the busy timeout a change is given up, while the event loop ran and reads were not kept out', async () => {
    const other = new Database(path)
    other.exec('begin immediate')
    let turns = 0
    const ticking = setInterval(() => turns++, 5)
    const key = sampleKey()
    await expect(store.createKey(key)).rejects.toMatchObject(unavailable('SQLITE_BUSY'))
    await expect(store.ping()).rejects.toMatchObject(unavailable('SQLITE_BUSY'))
    clearInterval(ticking)
    expect(turns).toBeGreaterThan(10)
    expect(await store.getKey(REGION, key.keyId)).toBeUndefined()
    other.close()
    await store.createKey(key)
  })

  it('STO-36 a change waits for another process and then happens', async () => {
    const other = new Database(path)
    other.exec('begin immediate')
    const key = sampleKey()
    const creating = store.createKey(key)
    await sleep(50)
    other.exec('rollback')
    await creating
    expect(await store.getKey(REGION, key.keyId)).toStrictEqual(key)
    other.close()
  })
})
