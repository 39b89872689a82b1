import { beforeEach, expect, it } from 'vitest'
import { LEASE_MS_MAX, type LeaseStore } from '../../src/core/ports/lease-store.ts'

const NOW = 1_790_000_000_000
const lease = (holder: string, ms = 1000, name = 'pair/main') => ({ name, holder, expiresAt: NOW + ms })

/** The behaviour that every LeaseStore owes its callers; each backend's test file calls this once. */
export function leaseStoreContract(open: () => Promise<LeaseStore>): void {
  let leases: LeaseStore
  beforeEach(async () => {
    leases = await open()
  })

  it('LEA-1, LEA-2 one of many gets a lease, and nobody else while it is held', async () => {
    const holders = Array.from({ length: 20 }, (_, index) => `holder-${index}`)
    const given = await Promise.all(holders.map((holder) => leases.acquireLease(lease(holder), NOW)))
    expect(given.filter(Boolean)).toHaveLength(1)
    const winner = holders[given.indexOf(true)] ?? ''
    for (const holder of holders) {
      expect(await leases.acquireLease(lease(holder), NOW)).toBe(holder === winner)
    }
  })

  it('LEA-2 its holder moves its end', async () => {
    expect(await leases.acquireLease(lease('a', 1000), NOW)).toBe(true)
    expect(await leases.acquireLease(lease('a', 3000), NOW + 500)).toBe(true)
    expect(await leases.acquireLease(lease('b', 9000), NOW + 2999)).toBe(false)
    expect(await leases.acquireLease(lease('b', 9000), NOW + 3000)).toBe(true)
    expect(await leases.acquireLease(lease('a', 9000), NOW + 3001)).toBe(false)
  })

  it('LEA-3 it ends at its end and not a moment before', async () => {
    await leases.acquireLease(lease('a', 1000), NOW)
    expect(await leases.acquireLease(lease('b', 2000), NOW + 999)).toBe(false)
    expect(await leases.acquireLease(lease('b', 2000), NOW + 1000)).toBe(true)
  })

  it('LEA-4 its holder releases it, and nobody else does', async () => {
    expect(await leases.releaseLease('pair/main', 'a')).toBe(false)
    await leases.acquireLease(lease('a'), NOW)
    expect(await leases.releaseLease('pair/main', 'b')).toBe(false)
    expect(await leases.acquireLease(lease('b', 5000), NOW)).toBe(false)
    expect(await leases.releaseLease('pair/main', 'a')).toBe(true)
    expect(await leases.releaseLease('pair/main', 'a')).toBe(false)
    expect(await leases.acquireLease(lease('b', 5000), NOW)).toBe(true)
    // It ended, and is another's now.
    expect(await leases.acquireLease(lease('c', 9000), NOW + 5000)).toBe(true)
    expect(await leases.releaseLease('pair/main', 'b')).toBe(false)
    expect(await leases.acquireLease(lease('d', 9000), NOW + 5001)).toBe(false)
  })

  it('LEA-5 it is given for an hour at most, and one that lasts longer is free', async () => {
    const later = NOW + 10 * LEASE_MS_MAX
    await leases.acquireLease({ name: 'pair/main', holder: 'fast clock', expiresAt: later + 1000 }, later)
    expect(await leases.acquireLease(lease('b', LEASE_MS_MAX), NOW)).toBe(true)
    expect(await leases.acquireLease(lease('c', LEASE_MS_MAX), NOW)).toBe(false)
    const bug = { name: 'InvariantError' }
    await expect(leases.acquireLease(lease('a', LEASE_MS_MAX + 1), NOW)).rejects.toMatchObject(bug)
    await expect(leases.acquireLease(lease('a', 0), NOW)).rejects.toMatchObject(bug)
    await expect(leases.acquireLease(lease('a', 0.5), NOW)).rejects.toMatchObject(bug)
  })

  it('LEA-6 leases of other names are other leases, and odd text is none', async () => {
    await leases.acquireLease(lease('a'), NOW)
    expect(await leases.acquireLease(lease('b', 1000, 'pair/Main'), NOW)).toBe(true)
    expect(await leases.releaseLease('pair/Main', 'b')).toBe(true)
    expect(await leases.acquireLease(lease('b'), NOW)).toBe(false)
    for (const odd of ['a\0b', '\ud800']) {
      const refused = { code: 'REQUEST_INVALID' }
      await expect(leases.acquireLease(lease(odd), NOW)).rejects.toMatchObject(refused)
      await expect(leases.acquireLease(lease('a', 1000, odd), NOW)).rejects.toMatchObject(refused)
      expect(await leases.releaseLease(odd, 'a')).toBe(false)
      expect(await leases.releaseLease('pair/main', odd)).toBe(false)
    }
  })
}
