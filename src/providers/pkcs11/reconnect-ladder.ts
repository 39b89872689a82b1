import { setTimeout as delay } from 'node:timers/promises'
import { Backoff } from './backoff.ts'
import { type Trouble, troubleOf } from './connection-log.ts'
import { needsOperator, Pkcs11Error, type TokenFault, TokenRefusal } from './errors.ts'
import { GuardedPin } from './guarded-pin.ts'
import type { ModuleAccess } from './module-access.ts'
import type { MaterialName } from './object-names.ts'
import type { Connected } from './procedures/connect.ts'
import type { AttemptEnd, Pkcs11TokenSettings } from './settings.ts'

/** A connection that breaks sooner than this is not made anew without a pause. */
const STABLE_MS = 2_000
/** So many times as long as a lane may be silent a hung one may keep an absent token from being found again. */
const BARRED_LANE_TIMEOUTS = 3

export interface LadderEvents {
  /** A key that the token held when it was last looked for. */
  witness(): MaterialName | undefined
  up(connected: Connected): void
  failed(fault: TokenFault | undefined, trouble: Trouble, mayTryAgain: boolean): void
  /** Only a new process helps. */
  fatal(error: Error): void
}

/**
 * The ways back to a token, cheapest first, one attempt at a time: log in anew with every session closed; initialize the
 * library anew; do so again and again with growing pauses; give the process up where a hung lane keeps the library from being
 * initialized. A PIN that was refused ends it until the PIN changes.
 */
export class ReconnectLadder {
  readonly #settings: Pkcs11TokenSettings
  readonly #module: ModuleAccess
  readonly #signal: AbortSignal
  readonly #events: LadderEvents
  readonly #pin: GuardedPin
  readonly #backoff: Backoff
  #attempting = false
  #downSince = performance.now()
  #barredSince: number | undefined
  /** The library was not initialized since the connection broke: it may show a token that it lost sight of. */
  #stale = false

  /** @param signal - Ends every climb. */
  constructor(
    settings: Pkcs11TokenSettings,
    module: ModuleAccess,
    signal: AbortSignal,
    events: LadderEvents,
  ) {
    this.#settings = settings
    this.#module = module
    this.#signal = signal
    this.#events = events
    this.#pin = new GuardedPin(settings.readPin, undefined, settings.mayTryPin)
    this.#backoff = new Backoff(settings.reconnectDelayMs)
  }

  get attempting(): boolean {
    return this.#attempting
  }

  /**
   * From a connection that broke to one that is up. Every session of it is closed.
   *
   * @param blind - The library does not show what the token holds, so the first rung is left out.
   * @param upMs - How long the connection was up.
   */
  async climb(blind: boolean, upMs: number): Promise<void> {
    this.#downSince = performance.now()
    this.#stale = true
    if (upMs > STABLE_MS) this.#backoff.reset()
    // A token that connects and fails at once is not hammered.
    else await this.#pause()
    if (blind) await this.#finalize(Number.POSITIVE_INFINITY)
    const first = await this.attempt()
    await this.goOn(first === 'again' && !blind ? await this.attempt() : first)
  }

  /** One attempt with a library that is initialized anew where that interrupts nobody for too long. */
  async renew(): Promise<AttemptEnd> {
    this.#downSince = performance.now()
    await this.#module.finalize(Number.POSITIVE_INFINITY, true)
    return await this.attempt()
  }

  /** Until the connection is up or the service closes. */
  async goOn(last: AttemptEnd): Promise<void> {
    let ended = last
    while (ended !== 'up' && !this.#signal.aborted) {
      if (ended === 'again') await this.#pause()
      else if (!(await this.#pin.changed(this.#signal))) return
      if (!this.#signal.aborted) ended = await this.attempt()
    }
  }

  async attempt(): Promise<AttemptEnd> {
    this.#attempting = true
    try {
      const witness = this.#stale ? this.#events.witness() : undefined
      await this.#module.connect(
        () => this.#pin.take(),
        witness,
        (connected) => this.#up(connected),
      )
      return 'up'
    } catch (error) {
      if (!this.#failed(error)) return 'operator'
      this.#giveUpWhereBarred()
      await this.#finalize(performance.now() - this.#downSince)
      return 'again'
    } finally {
      this.#attempting = false
    }
  }

  async #finalize(waitedMs: number): Promise<void> {
    if (await this.#module.finalize(waitedMs)) this.#stale = false
  }

  #up(connected: Connected): void {
    this.#stale = false
    this.#barredSince = undefined
    this.#pin.accept()
    this.#events.up(connected)
  }

  /** @returns Whether another attempt may be made. */
  #failed(error: unknown): boolean {
    const known = error instanceof Pkcs11Error || error instanceof TokenRefusal
    const fault: TokenFault | undefined = known ? error.fault : undefined
    const mayTryAgain = fault === undefined || !needsOperator(fault)
    if (!mayTryAgain) this.#pin.refuse()
    const reason = error instanceof Error ? error.message : String(error)
    this.#events.failed(fault, fault ? troubleOf(fault) : { reason }, mayTryAgain)
    return mayTryAgain
  }

  /** Only a new process helps where the library has to be initialized anew and a hung lane keeps it from that. */
  #giveUpWhereBarred(): void {
    if (!this.#module.hangs) this.#barredSince = undefined
    else this.#barredSince ??= performance.now()
    const since = this.#barredSince
    if (since === undefined) return
    if (performance.now() - since < BARRED_LANE_TIMEOUTS * this.#settings.laneTimeoutMs) return
    this.#barredSince = undefined
    this.#events.fatal(new Error('A hung token lane keeps the library from being initialized anew.'))
  }

  async #pause(): Promise<void> {
    await delay(this.#backoff.next(), undefined, { signal: this.#signal }).catch(() => undefined)
  }
}
