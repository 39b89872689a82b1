import { afterEach, describe, expect, it } from 'vitest'
import type { SqlKeyStore } from '../../src/store/sql-key-store.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { accessStoreContract } from '../support/access-store-contract.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { MemoryAccessStore } from '../support/memory-access-store.ts'

const { nextPath } = storeFolder()
const stores: SqlKeyStore[] = []
const open = async (path = nextPath()) => {
  const store = await openSqliteStore({ path })
  stores.push(store)
  return store
}
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
})

describe('MemoryAccessStore', () => accessStoreContract(async () => new MemoryAccessStore()))
describe('SqlAccessStore on SQLite', () => accessStoreContract(async () => (await open()).access))

describe('the access store of SQLite', () => {
  it('is not available once its store was closed', async () => {
    const store = await open()
    await store.close()
    const unavailable = { code: 'STORE_UNAVAILABLE' }
    await expect(store.access.getClientKey('KAAP.x')).rejects.toMatchObject(unavailable)
    await expect(store.access.listAccessPoints('1', 'r')).rejects.toMatchObject(unavailable)
  })
})
