import { LEASE_MS_MAX, type Lease, type LeaseStore } from '../../src/core/ports/lease-store.ts'
import { checkHolding } from '../../src/store/check.ts'

/** The {@link LeaseStore} contract in memory. */
export class MemoryLeaseStore implements LeaseStore {
  readonly #leases = new Map<string, Lease>()

  async acquireLease(lease: Lease, now: number): Promise<boolean> {
    checkHolding(lease, now)
    const held = this.#leases.get(lease.name)
    const ended = !held || held.expiresAt <= now || held.expiresAt > now + LEASE_MS_MAX
    if (!ended && held.holder !== lease.holder) return false
    this.#leases.set(lease.name, { ...lease })
    return true
  }

  async releaseLease(name: string, holder: string): Promise<boolean> {
    return this.#leases.get(name)?.holder === holder && this.#leases.delete(name)
  }
}
