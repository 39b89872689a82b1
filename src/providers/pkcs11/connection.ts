import { setTimeout as delay } from 'node:timers/promises'
import { describeFault, fateOf, hintFields, needsOperator, Pkcs11Error, type TokenFault } from './errors.ts'
import { keysInHostMemory } from './inside-mode.ts'
import { LaneFleet } from './lane-fleet.ts'
import type { Lane } from './lanes/lane.ts'
import type { LanePool } from './lanes/pool.ts'
import { faultIn } from './lanes/reply.ts'
import { ModuleAccess } from './module-access.ts'
import type { Connected } from './procedures/connect.ts'
import type { Pkcs11ProviderEvents, Pkcs11Status, Pkcs11TokenSettings } from './settings.ts'
import { parseTokenSelector } from './token-selector.ts'

/** How often an attempt that fails for the same reason is logged. */
const REPEATED_LOG_INTERVAL_MS = 60_000

interface State {
  readonly state: Pkcs11Status['state']
  readonly reason?: string
  readonly hint?: string
}

/**
 * The life of one connection to a token, in the main thread: connect, notice that it broke, drain, finalize, connect
 * again. At most one of these is going on at any time. Other connections of this process may use the same library
 * ({@link ModuleAccess}).
 */
export class TokenConnection {
  readonly lanes: LaneFleet
  readonly #settings: Pkcs11TokenSettings
  readonly #events: Pkcs11ProviderEvents
  readonly #module: ModuleAccess
  readonly #closing = new AbortController()
  #loggedReason = ''
  #loggedAt = 0
  #state: State = { state: 'connecting' }
  #connected: Connected | undefined
  #connectedAt = 0
  #downSince = performance.now()
  #generation = 0
  /** Ends when nothing of this connection is inside the library. */
  #leaving: Promise<void> = Promise.resolve()
  #cycle: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined
  #checking = false
  #onDown: () => void

  /**
   * @param onDown - Called whenever handles of this connection stop being good.
   * @throws Error with a sentence for operators when the selection of the token is not one we take.
   */
  constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents, onDown: () => void) {
    this.#settings = settings
    this.#events = events
    const criteria = parseTokenSelector(settings.select)
    this.#onDown = onDown
    const { laneTimeoutMs } = settings
    this.lanes = new LaneFleet(settings, {
      onLost: (reason) => this.#onLaneLost(reason),
      onReplaced: (pool, lane) => void this.#attachReplacement(pool, lane),
    })
    this.#module = new ModuleAccess(settings, criteria, this.lanes, (reason) => this.#leave(reason))
    this.#events.log.info(
      { token: settings.name, lanes: settings.lanes, laneTimeoutMs },
      'token lanes started',
    )
  }

  /** Resolves after the first attempt; what follows an attempt that failed goes on by itself. */
  async start(): Promise<void> {
    const again = await this.#attempt()
    if (again) this.#cycle = this.#keepTrying()
  }

  /** Present while the state is `up`. */
  get connected(): Connected | undefined {
    return this.#connected
  }

  status(): Pkcs11Status {
    return {
      ...this.#state,
      ...(this.#connected ? this.#statusOf(this.#connected) : {}),
      generation: this.#generation,
      queueDepth: this.lanes.depth,
      lanesLost: this.lanes.lost.count,
      lanesHung: this.lanes.lost.hung,
    }
  }

  #statusOf({ token, capabilities }: Connected): Partial<Pkcs11Status> {
    const mode = capabilities.insideSealMode ?? (this.#settings.allowHostMemory ? 'hostMemory' : undefined)
    return { tokenInfo: token, capabilities, ...(mode ? { insideSealMode: mode } : {}) }
  }

  /** Why calls are refused right now. */
  unavailableCause(): Error {
    return new Error(this.#state.reason ?? 'The token is not connected yet.')
  }

  /** Takes note of a fault that a procedure reported; begins to reconnect where its row says so. */
  report(fault: TokenFault): void {
    const fate = fateOf(fault)
    if (fate === 'suspect') void this.#check()
    else if (fate !== 'keep') this.#reconnectAfter(fault, fate === 'reinitialize')
  }

  #reconnectAfter(fault: TokenFault, blind: boolean): void {
    this.reconnect({ state: 'down', reason: describeFault(fault), ...hintFields(fault) }, blind)
  }

  /** Finds out, by a seal and an open, whether a fault that may mean anything means that the connection is gone. */
  async #check(): Promise<void> {
    const connected = this.#connected
    if (this.#checking || !connected) return
    this.#checking = true
    const key = Buffer.from(connected.healthKeyHex, 'hex')
    const options = { deadlineAt: Date.now() + this.#settings.laneTimeoutMs }
    const fault = faultIn(await this.lanes.control.call('checkHealth', 0, [key], options))
    this.#checking = false
    if (fault && this.#connected === connected) this.#reconnectAfter(fault, false)
  }

  /**
   * Goes down, drains every lane and connects anew. Does nothing unless the state is `up`.
   *
   * @param blind - The library does not show what the token holds: it is initialized anew at once where that may be.
   */
  reconnect(state: State, blind = false): void {
    if (this.#state.state !== 'up') return
    this.#goDown(state)
    this.#leaving = this.#module.release()
    this.#cycle = this.#recover(blind ? Number.POSITIVE_INFINITY : 0)
  }

  /** Another connection of this process finalizes the library next. */
  #leave(reason: string): Promise<void> {
    if (this.#state.state === 'up') {
      this.#goDown({ state: 'connecting', reason })
      this.#leaving = this.#module.release()
      this.#cycle = this.#leaving.then(() => this.#keepTrying(false))
    }
    return this.#leaving
  }

  /** May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    this.#goDown({ state: 'down', reason: 'The service is shutting down.' })
    await this.#cycle
    await this.#module.release()
    await this.#module.end()
    await this.lanes.end()
  }

  #goDown(state: State): void {
    if (this.#state.state === 'up') {
      this.#downSince = performance.now()
      this.#events.log.warn({ token: this.#settings.name, ...state }, 'token connection lost')
    }
    this.#state = state
    this.#connected = undefined
    this.#onDown()
    this.lanes.hold({ kind: 'unavailable', cause: this.unavailableCause() })
  }

  async #recover(waitedMs: number): Promise<void> {
    await this.#leaving
    await this.#module.finalize(waitedMs)
    // A token that connects and fails at once is not hammered.
    if (performance.now() - this.#connectedAt < this.#settings.reconnectDelayMs) await this.#pause()
    await this.#keepTrying(false)
  }

  async #keepTrying(pauseFirst = true): Promise<void> {
    let again = true
    if (pauseFirst) await this.#pause()
    while (again && !this.#closing.signal.aborted) {
      again = await this.#attempt()
      if (again) await this.#pause()
    }
  }

  async #pause(): Promise<void> {
    await delay(this.#settings.reconnectDelayMs, undefined, { signal: this.#closing.signal }).catch(
      () => undefined,
    )
  }

  /** @returns Whether another attempt may help. */
  async #attempt(): Promise<boolean> {
    if (this.#state.state === 'up') return false
    try {
      await this.#module.connect((connected) => this.#goUp(connected))
      return false
    } catch (error) {
      const again = this.#onAttemptFailed(error)
      if (again) await this.#module.finalize(performance.now() - this.#downSince)
      return again
    }
  }

  #goUp(connected: Connected): void {
    if (this.#closing.signal.aborted) return
    this.#connected = connected
    this.#connectedAt = performance.now()
    this.#generation += 1
    this.#state = { state: 'up' }
    this.#loggedReason = ''
    this.lanes.release()
    const { token, capabilities } = connected
    const { name, allowHostMemory } = this.#settings
    this.#events.log.info({ token: name, tokenInfo: token, capabilities }, 'token connected')
    const passing = allowHostMemory ? keysInHostMemory(capabilities) : undefined
    if (passing !== undefined) {
      const { refused } = capabilities
      this.#events.log.warn({ token: name, allowHostMemory, refused }, `${passing} pass through host memory`)
    }
  }

  #onAttemptFailed(error: unknown): boolean {
    const fault = error instanceof Pkcs11Error ? error.fault : undefined
    const operator = fault !== undefined && needsOperator(fault)
    const reason = error instanceof Error ? error.message : String(error)
    this.#state = { state: operator ? 'down' : 'connecting', reason, ...(fault ? hintFields(fault) : {}) }
    this.#logNotConnected(operator ? 'error' : 'warn', reason)
    return !operator
  }

  /** A token that is absent for a day is not worth a line per attempt. */
  #logNotConnected(level: 'error' | 'warn', reason: string): void {
    const now = performance.now()
    if (reason === this.#loggedReason && now - this.#loggedAt < REPEATED_LOG_INTERVAL_MS) return
    this.#loggedReason = reason
    this.#loggedAt = now
    this.#events.log[level]({ token: this.#settings.name, ...this.#state }, 'token not connected')
  }

  /** @returns Whether a new lane takes the place of the one that was lost. */
  #onLaneLost(reason: Error): boolean {
    const { count: lanesLost, hung: lanesHung } = this.lanes.lost
    this.#events.log.error(
      { token: this.#settings.name, lanesLost, lanesHung, reason: reason.message },
      'lane lost',
    )
    const beyond = this.lanes.lost.beyondReplacement()
    if (beyond === undefined) return !this.#closing.signal.aborted
    this.#events.onFatal(new Error(beyond, { cause: reason }))
    return false
  }

  /** While the token is down the next connect attaches it. */
  async #attachReplacement(pool: LanePool, lane: Lane): Promise<void> {
    const connected = this.#connected
    if (!connected) return
    const outcome = await this.lanes.attach(pool, lane, this.#module.attachmentOf(connected))
    const fault = faultIn(outcome)
    if (fault && this.#connected === connected) this.report(fault)
    if (lane.ready && this.#connected === connected) pool.release()
  }
}
