import { afterEach, describe, expect, it } from 'vitest'
import type { SqlKeyStore } from '../../src/store/sql-key-store.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { leaseStoreContract } from '../support/lease-store-contract.ts'
import { MemoryLeaseStore } from '../support/memory-lease-store.ts'

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

describe('MemoryLeaseStore', () => leaseStoreContract(async () => new MemoryLeaseStore()))
describe('SqlKeyStore on SQLite', () => leaseStoreContract(() => open()))

describe('leases of one SQLite store', () => {
  it('LEA-1 go to one of several connections, and outlive the one that took them', async () => {
    const path = nextPath()
    const connections = [await open(path), await open(path), await open(path)]
    const now = Date.now()
    for (let round = 0; round < 20; round += 1) {
      const name = `round-${round}`
      const given = await Promise.all(
        connections.map((store, index) =>
          store.acquireLease({ name, holder: `connection-${index}`, expiresAt: now + 60_000 }, now),
        ),
      )
      expect(given.filter(Boolean)).toHaveLength(1)
    }
    await Promise.all(stores.splice(0).map((store) => store.close()))
    const again = await open(path)
    expect(await again.acquireLease({ name: 'round-0', holder: 'x', expiresAt: now + 1000 }, now)).toBe(false)
  })

  it('are not available once it was closed', async () => {
    const store = await open()
    await store.close()
    const unavailable = { code: 'STORE_UNAVAILABLE' }
    const lease = { name: 'a', holder: 'b', expiresAt: Date.now() + 1000 }
    await expect(store.acquireLease(lease, Date.now())).rejects.toMatchObject(unavailable)
    await expect(store.releaseLease('a', 'b')).rejects.toMatchObject(unavailable)
  })
})
