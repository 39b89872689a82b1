import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../lib/clock.ts'
import { KmsError } from './errors.ts'
import { FairQueue, type QueueBounds } from './fair-queue.ts'
import type { Lease, LeaseStore } from './ports/lease-store.ts'

export interface PairGateDeps {
  readonly leases: LeaseStore
  readonly clock: Clock
  /** A fresh random UUID. */
  readonly newId: () => string
  /** How long one generation may take in a token, of that name. Milliseconds. */
  readonly pairTimeoutMs: (token: string) => number
}

/** Calls that may wait for one token in this process; more are refused at once. */
const WAITING: QueueBounds = { max: 256, perAccountMax: 64 }
/** How often a lease that another process holds is asked for again. */
const LEASE_POLL_MS = 50
/** How often giving a lease back is tried: one that stays keeps the token from making pairs until its end. */
const RELEASE_ATTEMPTS_MAX = 4
/** The pause between, and how long it is tried in all: whoever made a pair waits for it. */
const RELEASE_RETRY_MS = 100
const RELEASE_MS_MAX = 1_000
/** What has to be found and queued before the token begins. */
const START_ALLOWANCE_MS = 5_000
/** How much longer a lease lasts than the work under it may: clocks, and a token that is given up late. */
const LEASE_MARGIN_MS = 5_000

/** Who wants a pair of which token. */
export interface PairTurn {
  readonly token: string
  readonly accountId: string
}

/**
 * Lets key pairs be made one at a time per token, over every API, lane and process on one store: accounts in turn, and first come, first
 * served within one, in this process, then a lease of the store. The lease is given for longer than a generation may take, rather than renewed: a
 * process whose renewal fails could not stop the token. A holder that died therefore keeps the token from making pairs for
 * that long, and for no longer.
 */
export class PairGate {
  readonly #deps: PairGateDeps
  /** By token: who waits while somebody is inside. */
  readonly #waiting = new Map<string, FairQueue>()

  constructor(deps: PairGateDeps) {
    this.#deps = deps
  }

  /**
   * Runs `work` while nobody else does, for the same token.
   *
   * @param waitMs - How long to wait for those before; 0 to be refused at once.
   * @param work - Has to have ended in the token by `deadlineAt`, milliseconds since the epoch: when it settles, or then.
   * @throws {@link KmsError} `TOKEN_BUSY` when the wait was in vain; `STORE_UNAVAILABLE`.
   */
  async use<T>(turn: PairTurn, waitMs: number, work: (deadlineAt: number) => Promise<T>): Promise<T> {
    const { token } = turn
    const until = this.#deps.clock.monotonic() + waitMs
    await this.#enter(turn, waitMs)
    try {
      const lease = await this.#takeLease(token, until)
      try {
        return await work(lease.expiresAt - LEASE_MARGIN_MS)
      } finally {
        await this.#release(lease)
      }
    } finally {
      this.#leave(token)
    }
  }

  #enter({ token, accountId }: PairTurn, waitMs: number): Promise<void> {
    const waiting = this.#waiting.get(token)
    if (!waiting) {
      this.#waiting.set(token, new FairQueue(WAITING))
      return Promise.resolve()
    }
    if (waitMs <= 0) return Promise.reject(tokenBusy(token))
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer)
        resolve()
      }
      const giveUp = () => {
        waiting.remove(accountId, enter)
        reject(tokenBusy(token))
      }
      const timer = setTimeout(giveUp, waitMs)
      if (!waiting.add(accountId, enter)) {
        clearTimeout(timer)
        reject(tokenBusy(token))
      }
    })
  }

  #leave(token: string): void {
    const next = this.#waiting.get(token)?.next()
    if (next) next()
    else this.#waiting.delete(token)
  }

  async #takeLease(token: string, until: number): Promise<Lease> {
    const { clock, newId, pairTimeoutMs } = this.#deps
    const [name, holder] = [`pair/${token}`, newId()]
    const leaseMs = START_ALLOWANCE_MS + pairTimeoutMs(token) + LEASE_MARGIN_MS
    for (;;) {
      const now = clock.now()
      const lease = { name, holder, expiresAt: now + leaseMs }
      if (await this.#acquire(lease, now)) return lease
      const leftMs = until - clock.monotonic()
      if (leftMs <= 0) throw tokenBusy(token)
      await delay(Math.min(LEASE_POLL_MS, leftMs))
    }
  }

  async #acquire(lease: Lease, now: number): Promise<boolean> {
    try {
      return await this.#deps.leases.acquireLease(lease, now)
    } catch (error) {
      // The store may have taken it all the same, and failed after.
      await this.#release(lease)
      throw error
    }
  }

  async #release({ name, holder }: Lease): Promise<void> {
    const { leases, clock } = this.#deps
    const until = clock.monotonic() + RELEASE_MS_MAX
    for (let attempt = 1; ; attempt++) {
      try {
        await leases.releaseLease(name, holder)
        return
      } catch {
        // It ends by itself, and what was made under it is good.
        if (attempt >= RELEASE_ATTEMPTS_MAX || clock.monotonic() + RELEASE_RETRY_MS > until) return
      }
      await delay(RELEASE_RETRY_MS)
    }
  }
}

function tokenBusy(token: string): KmsError<'TOKEN_BUSY'> {
  return new KmsError('TOKEN_BUSY', 'The token makes another key pair; it makes one at a time.', { token })
}
