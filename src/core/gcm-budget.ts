import type { Clock } from '../lib/clock.ts'
import { invariant } from '../lib/invariant.ts'
import { KmsError } from './errors.ts'
import type { InvocationLedger } from './ports/invocation-ledger.ts'

/** Invocations that one AES-GCM key with random 96-bit IVs may have (NIST SP 800-38D, section 8.3). */
const GCM_INVOCATIONS_MAX = 2 ** 32
/**
 * What the ledger never hands out, for seals that nobody can count beforehand: the canaries that tell a wrong tag from a
 * broken device (one per key, lane and connection) and what a lane or the provider tries again on a fresh session or
 * handle. ADR 0006 says why it is enough.
 */
const UNCOUNTED_INVOCATIONS = 2 ** 28
/** The most that `invocationsMax` may be. */
export const COUNTED_INVOCATIONS_MAX = GCM_INVOCATIONS_MAX - UNCOUNTED_INVOCATIONS

/** The share of a block that is left when the next one is asked for. */
const LOW_SHARE = 4
/** Pause after a lease ahead of need that failed; without a block at all every seal asks. */
const RETRY_PAUSE_MS = 1_000
/** How often failing leases are logged, over all versions. */
const REPEATED_LOG_MS = 60_000
/** A version that sealed nothing for one to two of these gives its memory, and what is left of its block, up. */
const IDLE_MS = 86_400_000

export interface GcmBudgetSettings {
  /** No version is sealed with more often than that, over all processes. 1 to {@link COUNTED_INVOCATIONS_MAX}. */
  readonly invocationsMax: number
  /** How many invocations of a version this process leases at a time. */
  readonly leaseInvocations: number
  /** From so many leased invocations on, a version is to be replaced. */
  readonly rotateAt: number
}

export interface GcmBudgetLog {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
  error(fields: Readonly<Record<string, unknown>>, message: string): void
}

export interface GcmBudgetDeps {
  readonly ledger: InvocationLedger
  readonly clock: Clock
  readonly log: GcmBudgetLog
  readonly settings: GcmBudgetSettings
  /** Told after each lease that leaves a version due for rotation. Must not throw. */
  readonly onRotationDue?: () => void
}

/** A key version, by the names that logs and errors have for it. */
export interface VersionName {
  readonly keyId: string
  readonly versionId: string
}

/** What this process did, counted since its start. */
export interface GcmBudgetCounts {
  readonly leases: number
  readonly leasesFailed: number
  readonly refusals: number
}

/** What this process may still use of one version without asking. */
interface Stock {
  readonly name: VersionName
  left: number
  /** At so many left the next block is asked for. */
  lowAt: number
  /** No process gets another invocation of this version, ever. */
  spent: boolean
  lease: Promise<void> | undefined
  /** Not asked for ahead of need before then, by the monotonic clock. */
  retryAt: number
  used: boolean
}

/**
 * The GCM invocations that this process may still have of each key version. They are leased from the ledger in blocks, ahead of
 * need, so that a seal costs a lookup and a subtraction. Fails closed: without a leased invocation there is no seal. When
 * the ledger is away, seals go on until the block is used up.
 *
 * An invocation that was taken counts, whatever becomes of the seal. What is left of a block when the process ends is lost:
 * to give it back would be one more state that a crash can tear.
 */
export class GcmBudget {
  readonly #deps: GcmBudgetDeps
  readonly #stocks = new Map<string, Stock>()
  readonly #counts = { leases: 0, leasesFailed: 0, refusals: 0 }
  #sweptAt: number
  #failureLoggedAt = Number.NEGATIVE_INFINITY

  constructor(deps: GcmBudgetDeps) {
    const { invocationsMax, leaseInvocations } = deps.settings
    invariant(invocationsMax >= 1 && invocationsMax <= COUNTED_INVOCATIONS_MAX, 'invocationsMax out of range')
    invariant(leaseInvocations >= 1, 'a block has an invocation')
    this.#deps = deps
    this.#sweptAt = deps.clock.monotonic()
  }

  get counts(): GcmBudgetCounts {
    return { ...this.#counts }
  }

  /**
   * Takes one invocation of a version, before the token is asked to seal.
   *
   * @returns `undefined` when it is taken, which is the rule; a promise when a block has to be leased first, which rejects
   *   with {@link KmsError} `KEY_EXHAUSTED` when the version has none left and `STORE_UNAVAILABLE` when that cannot be told.
   */
  take(name: VersionName): Promise<void> | undefined {
    const stock = this.#stocks.get(name.versionId)
    return stock && this.#takeOf(stock) ? undefined : this.#takeSlowly(name)
  }

  #takeOf(stock: Stock): boolean {
    if (stock.left === 0) return false
    stock.left -= 1
    stock.used = true
    if (stock.left <= stock.lowAt) this.#leaseAhead(stock)
    return true
  }

  async #takeSlowly(name: VersionName): Promise<void> {
    const stock = this.#stockOf(name)
    while (!this.#takeOf(stock)) {
      if (stock.spent) {
        this.#counts.refusals += 1
        throw exhausted(name)
      }
      await (stock.lease ?? this.#startLease(stock))
    }
  }

  #leaseAhead(stock: Stock): void {
    if (stock.lease || stock.spent || this.#deps.clock.monotonic() < stock.retryAt) return
    // Logged and counted there; whoever comes to need the block waits for the same promise and is told.
    this.#startLease(stock).catch(() => undefined)
  }

  #startLease(stock: Stock): Promise<void> {
    stock.lease = this.#lease(stock).finally(() => {
      stock.lease = undefined
    })
    return stock.lease
  }

  async #lease(stock: Stock): Promise<void> {
    const { ledger, clock, settings } = this.#deps
    const { leaseInvocations, invocationsMax } = settings
    try {
      const { versionId } = stock.name
      const block = await ledger.leaseInvocations(versionId, leaseInvocations, invocationsMax)
      this.#counts.leases += block.count > 0 ? 1 : 0
      stock.left += block.count
      stock.lowAt = Math.floor(block.count / LOW_SHARE)
      this.#note(stock, block.first, block.first + block.count)
    } catch (error) {
      this.#counts.leasesFailed += 1
      stock.retryAt = clock.monotonic() + RETRY_PAUSE_MS
      this.#noteFailure(stock, error)
      throw error
    }
  }

  /** Says what the lease of the numbers from `first` up to `leased` means; of all processes one crosses each mark. */
  #note(stock: Stock, first: number, leased: number): void {
    const { log, settings, onRotationDue } = this.#deps
    const { invocationsMax, rotateAt } = settings
    const fields = { ...stock.name, leased, left: invocationsMax - leased, invocationsMax }
    const nearAt = Math.floor((rotateAt + invocationsMax) / 2)
    if (first < nearAt && leased >= nearAt)
      log.warn(fields, 'a key version is near its bound of GCM invocations and was not rotated yet')
    if (leased >= invocationsMax && !stock.spent) {
      stock.spent = true
      log.error(
        fields,
        'the last GCM invocations of a key version are leased: past them it seals nothing more',
      )
    }
    if (leased >= rotateAt) onRotationDue?.()
  }

  #noteFailure(stock: Stock, error: unknown): void {
    const now = this.#deps.clock.monotonic()
    if (now - this.#failureLoggedAt < REPEATED_LOG_MS) return
    this.#failureLoggedAt = now
    const fields = { ...stock.name, left: stock.left, err: error }
    this.#deps.log.warn(fields, 'cannot lease GCM invocations; keys seal until what was leased is used up')
  }

  #stockOf(name: VersionName): Stock {
    const known = this.#stocks.get(name.versionId)
    if (known) return known
    this.#sweep()
    const { keyId, versionId } = name
    const stock: Stock = {
      name: { keyId, versionId },
      left: 0,
      lowAt: 0,
      spent: false,
      lease: undefined,
      retryAt: 0,
      used: true,
    }
    this.#stocks.set(versionId, stock)
    return stock
  }

  /** Versions come and go with keys; those in use stay, since giving one up costs it its block. */
  #sweep(): void {
    const now = this.#deps.clock.monotonic()
    if (now - this.#sweptAt < IDLE_MS) return
    this.#sweptAt = now
    for (const [versionId, stock] of this.#stocks) {
      if (stock.used || stock.lease) stock.used = false
      else this.#stocks.delete(versionId)
    }
  }
}

function exhausted({ keyId }: VersionName): KmsError<'KEY_EXHAUSTED'> {
  return new KmsError(
    'KEY_EXHAUSTED',
    'This key has been encrypted with as often as AES-GCM allows; it still decrypts, and encrypts again once it is rotated.',
    { keyId },
  )
}
