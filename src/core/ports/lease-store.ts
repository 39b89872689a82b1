/** A name that one holder at a time has, over all processes on one store. */
export interface Lease {
  /** What is leased, 1 character or more. */
  readonly name: string
  /** Names one holding rather than a process, so that a late release frees nothing of somebody else's. */
  readonly holder: string
  /** When it ends by itself. Milliseconds since the epoch, at most {@link LEASE_MS_MAX} from now. */
  readonly expiresAt: number
}

/** Longest time that a lease is given for. Milliseconds. */
export const LEASE_MS_MAX = 3_600_000

/**
 * Leases that hold over processes; docs/spec/store.md has each promise as a numbered clause. A change is durable when its
 * promise resolves. Safe at any concurrency, several processes included: of those that ask for one lease at the same time
 * exactly one gets it (LEA-1).
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`: whether the lease was changed is not known then, and who
 * asked for it must take it for not given. A lease whose text holds a NUL or a lone surrogate
 * is refused with `REQUEST_INVALID`.
 */
export interface LeaseStore {
  /**
   * Takes a lease that is free or has ended; moves the end of one that `lease.holder` holds already (LEA-2).
   *
   * @param now - Milliseconds since the epoch, by the clock of the processes: who asks tells the time.
   * @returns `false`, and changes nothing, while somebody else holds it.
   * @throws {@link InvariantError} when `expiresAt` is not after `now`, or more than {@link LEASE_MS_MAX} after it.
   */
  acquireLease(lease: Lease, now: number): Promise<boolean>

  /** Frees a lease at once. @returns `false`, and changes nothing, when `holder` does not hold it (LEA-4). */
  releaseLease(name: string, holder: string): Promise<boolean>
}
