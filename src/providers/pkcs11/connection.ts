import { realpath } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { describeFault, hintFields, needsOperator, Pkcs11Error, ruleOf, type TokenFault } from './errors.ts'
import type { Attachment } from './lane-token.ts'
import type { CallOutcome, Lane } from './lanes/lane.ts'
import { jsonPart, parseJsonPart } from './lanes/messages.ts'
import { LanePool, type LanePoolSettings } from './lanes/pool.ts'
import { faultIn, isOk, requireReply } from './lanes/reply.ts'
import type { Connected, ConnectRequest } from './procedures/connect.ts'
import type { Pkcs11ProviderEvents, Pkcs11Status, Pkcs11TokenSettings } from './settings.ts'
import { parseTokenSelector, type TokenCriteria } from './token-selector.ts'

/** Calls that may wait before the write lane and before the control lane. */
const WRITE_QUEUE_MAX = 256
const CONTROL_QUEUE_MAX = 64
/** So many lanes that end by themselves within a minute are a crash that a new lane repeats. */
const LANES_ENDED_MAX = 16
const LANES_ENDED_WINDOW_MS = 60_000
/** How often an attempt that fails for the same reason is logged. */
const REPEATED_LOG_INTERVAL_MS = 60_000
/** Calls of our own end with their lane rather than by a deadline. */
const NO_DEADLINE = Number.MAX_SAFE_INTEGER

interface State {
  readonly state: Pkcs11Status['state']
  readonly reason?: string
  readonly hint?: string
}

/**
 * The life of one connection to a token, in the main thread: connect, notice that it broke, drain, finalize, connect
 * again. At most one of these is going on at any time.
 */
export class TokenConnection {
  readonly crypto: LanePool
  readonly write: LanePool
  readonly control: LanePool
  readonly #settings: Pkcs11TokenSettings
  readonly #events: Pkcs11ProviderEvents
  readonly #criteria: TokenCriteria
  readonly #closing = new AbortController()
  /** Lanes that were lost and had not exited when last looked at: they may still be inside the library. */
  #hung: Lane[] = []
  /** When lanes ended by themselves, `performance.now()`. */
  #endedAt: number[] = []
  #lostCount = 0
  #loggedReason = ''
  #loggedAt = 0
  #state: State = { state: 'connecting' }
  #connected: Connected | undefined
  #connectedAt = 0
  #module = ''
  #generation = 0
  #cycle: Promise<void> = Promise.resolve()
  #onDown: () => void

  /**
   * @param onDown - Called whenever handles of this connection stop being good.
   * @throws Error with a sentence for operators when the selection of the token is not one we take.
   */
  constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents, onDown: () => void) {
    this.#settings = settings
    this.#events = events
    this.#criteria = parseTokenSelector(settings.select)
    this.#onDown = onDown
    const { laneTimeoutMs } = settings
    this.crypto = this.#pool({ role: 'crypto', lanes: settings.lanes.crypto, queueMax: settings.queueMax })
    this.write = this.#pool({ role: 'write', lanes: 1, queueMax: WRITE_QUEUE_MAX, batchMax: 1 })
    this.control = this.#pool({ role: 'control', lanes: 1, queueMax: CONTROL_QUEUE_MAX })
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
    const mode = this.#connected?.capabilities.insideSealMode
    return {
      ...this.#state,
      ...(this.#connected ? { tokenInfo: this.#connected.token } : {}),
      ...(mode ? { insideSealMode: mode } : {}),
      generation: this.#generation,
      queueDepth: this.crypto.depth + this.write.depth + this.control.depth,
      lanesLost: this.#lostCount,
      lanesHung: this.#hungLanes().length,
    }
  }

  /** Why calls are refused right now. */
  unavailableCause(): Error {
    return new Error(this.#state.reason ?? 'The token is not connected yet.')
  }

  /** Takes note of a fault that a procedure reported; begins to reconnect where its row says so. */
  report(fault: TokenFault): void {
    if (fault.kind !== 'cryptoki') return
    const { session } = ruleOf(fault.name)
    if (session === 'reinitialize' || session === 'relogin') {
      this.reconnect({ state: 'down', reason: describeFault(fault), ...hintFields(fault) })
    }
  }

  /** Goes down, drains every lane, finalizes the library and connects anew. Does nothing unless the state is `up`. */
  reconnect(state: State): void {
    if (this.#state.state !== 'up') return
    this.#events.log.warn({ token: this.#settings.name, ...state }, 'token connection lost')
    this.#goDown(state)
    this.#cycle = this.#recover()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#goDown({ state: 'down', reason: 'The service is shutting down.' })
    await this.#cycle
    await this.#release()
    await Promise.all(this.#pools().map((pool) => pool.end()))
  }

  #pools(): readonly LanePool[] {
    return [this.crypto, this.write, this.control]
  }

  #pool(settings: Omit<LanePoolSettings, 'laneTimeoutMs'>): LanePool {
    const { laneTimeoutMs } = this.#settings
    const pool: LanePool = new LanePool(
      { ...settings, laneTimeoutMs },
      {
        onLost: (lane, reason) => this.#onLost(lane, reason),
        onReplaced: (lane) => void this.#attachReplacement(pool, lane),
      },
    )
    return pool
  }

  #goDown(state: State): void {
    this.#state = state
    this.#connected = undefined
    this.#onDown()
    for (const pool of this.#pools()) pool.hold({ kind: 'unavailable', cause: this.unavailableCause() })
  }

  async #recover(): Promise<void> {
    await this.#release()
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

  /** Closes every lane's session, then the library: nothing of ours may be inside it when it is finalized. */
  async #release(): Promise<void> {
    await this.#toEveryLane([this.crypto, this.write], (pool, lane) => {
      lane.ready = false
      return pool.callLane(lane, 'detach', [], NO_DEADLINE)
    })
    if (this.#module === '') return
    await this.#toEveryLane([this.control], (pool, lane) => {
      lane.ready = false
      return pool.callLane(lane, 'disconnect', [jsonPart(this.#connectRequest())], NO_DEADLINE)
    })
  }

  async #toEveryLane(
    pools: readonly LanePool[],
    send: (pool: LanePool, lane: Lane) => Promise<CallOutcome>,
  ): Promise<CallOutcome[]> {
    return await Promise.all(pools.flatMap((pool) => pool.lanes.map((lane) => send(pool, lane))))
  }

  #connectRequest(): ConnectRequest {
    const { libraryParameters } = this.#settings
    return {
      module: this.#module,
      ...(libraryParameters === undefined ? {} : { libraryParameters }),
      criteria: this.#criteria,
      mayFinalize: this.#hungLanes().length === 0,
    }
  }

  /** @returns Whether another attempt may help. */
  async #attempt(): Promise<boolean> {
    if (this.#state.state === 'up') return false
    try {
      this.#module = await realpath(this.#settings.module)
      const connected = await this.#connect()
      await this.#attachLanes(connected)
      this.#goUp(connected)
      return false
    } catch (error) {
      return this.#onAttemptFailed(error)
    }
  }

  async #connect(): Promise<Connected> {
    const [lane] = this.control.lanes
    if (!lane) throw new Error('There is no control lane left.')
    const pin = await this.#settings.readPin()
    let reply: Promise<CallOutcome>
    try {
      reply = this.control.callLane(lane, 'connect', [jsonPart(this.#connectRequest()), pin], NO_DEADLINE)
    } finally {
      pin.fill(0)
    }
    const [answer] = requireReply(this.#settings.name, await reply)
    lane.ready = true
    return parseJsonPart(answer) as Connected
  }

  async #attachLanes(connected: Connected): Promise<void> {
    const outcomes = await this.#toEveryLane([this.crypto, this.write], (pool, lane) =>
      this.#attachLane(pool, lane, connected),
    )
    const failed = outcomes.find((outcome) => !isOk(outcome))
    if (!failed) return
    await this.#release()
    requireReply(this.#settings.name, failed)
  }

  async #attachLane(pool: LanePool, lane: Lane, { slotHex }: Connected): Promise<CallOutcome> {
    const { module, libraryParameters } = this.#connectRequest()
    const attachment: Attachment = {
      module,
      ...(libraryParameters === undefined ? {} : { libraryParameters }),
      slotHex,
      write: pool === this.write,
    }
    const outcome = await pool.callLane(lane, 'attach', [jsonPart(attachment)], NO_DEADLINE)
    lane.ready = isOk(outcome)
    return outcome
  }

  #goUp(connected: Connected): void {
    if (this.#closing.signal.aborted) return
    this.#connected = connected
    this.#connectedAt = performance.now()
    this.#generation += 1
    this.#state = { state: 'up' }
    this.#loggedReason = ''
    for (const pool of this.#pools()) pool.release()
    const { token, capabilities } = connected
    this.#events.log.info(
      { token: this.#settings.name, tokenInfo: token, ...capabilities },
      'token connected',
    )
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

  #hungLanes(): readonly Lane[] {
    this.#hung = this.#hung.filter((lane) => !lane.exited)
    return this.#hung
  }

  #onLost(lane: Lane, reason: Error): boolean {
    this.#lostCount += 1
    if (lane.exited) this.#endedAt.push(performance.now())
    else this.#hung.push(lane)
    const lanesHung = this.#hungLanes().length
    this.#events.log.error(
      { token: this.#settings.name, lanesLost: this.#lostCount, lanesHung, reason: reason.message },
      'lane lost',
    )
    const beyond = this.#beyondReplacement(lanesHung)
    if (beyond === undefined) return !this.#closing.signal.aborted
    this.#events.onFatal(new Error(beyond, { cause: reason }))
    return false
  }

  /** Why another lane would not help, if so. */
  #beyondReplacement(lanesHung: number): string | undefined {
    const { lostLanesMax } = this.#settings
    if (lanesHung > lostLanesMax) return `More than ${lostLanesMax} token lanes hang in the library.`
    const since = performance.now() - LANES_ENDED_WINDOW_MS
    this.#endedAt = this.#endedAt.filter((at) => at > since)
    if (this.#endedAt.length > LANES_ENDED_MAX) return 'Token lanes end again and again.'
    return undefined
  }

  /** While the token is down the next connect attaches it. */
  async #attachReplacement(pool: LanePool, lane: Lane): Promise<void> {
    const connected = this.#connected
    if (!connected) return
    const outcome = await this.#attachLane(pool, lane, connected)
    const fault = faultIn(outcome)
    if (fault && this.#connected === connected) this.report(fault)
    if (lane.ready && this.#connected === connected) pool.release()
  }
}
