import { ConnectionCounts } from './connection-counts.ts'
import { ConnectionLog, OUT_OF_SESSIONS, type Trouble, troubleOf } from './connection-log.ts'
import { statusOf } from './connection-status.ts'
import { fateOf, type TokenFault } from './errors.ts'
import { keysInHostMemory } from './inside-mode.ts'
import { LaneFleet } from './lane-fleet.ts'
import { LaneTender } from './lane-tender.ts'
import type { Lane } from './lanes/lane.ts'
import type { LaneNotes } from './lanes/messages.ts'
import type { LanePool } from './lanes/pool.ts'
import { faultIn } from './lanes/reply.ts'
import { ModuleAccess } from './module-access.ts'
import type { MaterialName } from './object-names.ts'
import type { Connected } from './procedures/connect.ts'
import { ReconnectLadder } from './reconnect-ladder.ts'
import { Renewal } from './renewal.ts'
import type { AttemptEnd, Pkcs11ProviderEvents, Pkcs11Status, Pkcs11TokenSettings } from './settings.ts'
import { parseTokenSelector } from './token-selector.ts'
import { quirksOf } from './vendor-quirks.ts'

/** What a provider tells its connection of the keys. */
export interface ConnectionKeys {
  /** Handles stop being good. */
  onDown(): void
  /** A key that the token held when it was last looked for. */
  witness(): MaterialName | undefined
}

/**
 * One connection to a token, in the main thread, and the breaker before its lanes: it notices that the token is away, has
 * calls answered at once, and has a {@link ReconnectLadder} climbed until it is up again. At most one climb is going on at any
 * time. Other connections of this process may use the same library ({@link ModuleAccess}).
 */
export class TokenConnection {
  readonly lanes: LaneFleet
  readonly #settings: Pkcs11TokenSettings
  readonly #events: Pkcs11ProviderEvents
  readonly #keys: ConnectionKeys
  readonly #module: ModuleAccess
  readonly #tender: LaneTender
  readonly #renewal: Renewal
  readonly #ladder: ReconnectLadder
  readonly #log: ConnectionLog
  readonly #counts = new ConnectionCounts()
  readonly #closing = new AbortController()
  /** What keeps, or last kept, calls from being taken. */
  #trouble: Trouble | undefined
  /** Why a lane got no session the last time that one did not. */
  #starved: Trouble | undefined
  /** Nothing is tried before the PIN changes. */
  #waitsForOperator = false
  #checking = false
  #connected: Connected | undefined
  #connectedAt = 0
  #downSince = performance.now()
  /** Ends when nothing of this connection is inside the library. */
  #leaving: Promise<void> = Promise.resolve()
  #cycle: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined

  /** @throws Error with a sentence for operators when the selection of the token is not one we take. */
  constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents, keys: ConnectionKeys) {
    this.#settings = settings
    this.#events = events
    this.#keys = keys
    this.#log = new ConnectionLog(settings.name, events.log)
    const criteria = parseTokenSelector(settings.select)
    this.lanes = new LaneFleet(settings, {
      onLost: (reason) => this.#onLaneLost(reason),
      onReplaced: (pool, lane) => void this.#attachLane(pool, lane),
      onStarved: (fault) => this.#onStarved(fault),
      onNotes: (notes) => this.#onNotes(notes),
    })
    this.#tender = new LaneTender(
      () => (this.#connected ? this.lanes.waiting()[0] : undefined),
      ({ pool, lane }) => this.#attachLane(pool, lane),
      // A session whose closing failed stays open in the token: where nobody serves, all of them are closed.
      () => this.lanes.crypto.open || this.reconnect('sessions', OUT_OF_SESSIONS),
      this.#closing.signal,
    )
    this.#renewal = new Renewal({
      lanes: this.lanes,
      renew: () => this.#renew(),
      mayRenew: () => this.#module.mayRenew,
    })
    const leave = (reason: string, calm: boolean) => this.#leave(reason, calm)
    this.#module = new ModuleAccess(settings, criteria, this.lanes, leave)
    this.#ladder = new ReconnectLadder(settings, this.#module, this.#closing.signal, {
      witness: () => keys.witness(),
      up: (connected) => this.#goUp(connected),
      failed: (fault, trouble, mayTryAgain) => this.#onAttemptFailed(fault, trouble, mayTryAgain),
      fatal: (error) => events.onFatal(error),
    })
    this.#log.started(settings.lanes, settings.laneTimeoutMs)
  }

  /** Resolves after the first attempt; what follows an attempt that failed goes on by itself. */
  async start(): Promise<void> {
    const ended = await this.#ladder.attempt()
    this.#cycle = this.#ladder.goOn(ended)
  }

  /** Present while handles that were found are good. */
  get connected(): Connected | undefined {
    return this.#connected
  }

  /** Whether calls are handed to a lane, at once or soon, rather than answered at once. */
  get available(): boolean {
    return this.renewing !== undefined || (this.#connected !== undefined && this.lanes.crypto.open)
  }

  /** What a call waits for before it begins, where the library is being initialized anew for no fault. */
  get renewing(): Promise<void> | undefined {
    return this.#renewal.underWay
  }

  get generation(): number {
    return this.#counts.connects
  }

  status(): Pkcs11Status {
    return statusOf({
      available: this.available,
      resting: this.#waitsForOperator || this.#closed !== undefined,
      attempting: this.#ladder.attempting,
      trouble: this.#trouble,
      connected: this.#connected,
      allowHostMemory: this.#settings.allowHostMemory === true,
      counts: this.#counts,
      lanes: this.lanes,
    })
  }

  /** Why calls are refused right now. */
  unavailableCause(): Error {
    return new Error(this.#trouble?.reason ?? 'The token is not connected yet.')
  }

  /** Takes note of a fault that a procedure reported; begins to reconnect where its row says so. */
  report(fault: TokenFault): void {
    const fate = fateOf(fault)
    if (fate === 'suspect') void this.#check()
    else if (fate !== 'keep') this.#reconnectAfter(fault, fate === 'reinitialize')
  }

  /** Finds out, by a seal and an open, whether a fault that may mean anything means that the connection is gone. */
  async #check(): Promise<void> {
    const connected = this.#connected
    if (this.#checking || !connected) return
    this.#checking = true
    const options = { deadlineAt: Date.now() + this.#settings.laneTimeoutMs }
    const fault = faultIn(await this.lanes.control.call('checkHealth', 0, [], options))
    this.#checking = false
    if (fault && this.#connected === connected) this.#reconnectAfter(fault, false)
  }

  #reconnectAfter(fault: TokenFault, blind: boolean): void {
    this.reconnect(fault.kind === 'cryptoki' ? fault.name : 'canary', troubleOf(fault), blind)
  }

  /**
   * Goes down, drains every lane and connects anew. Does nothing unless it is connected.
   *
   * @param reason - For the metrics: a return value, or a word for what was found out otherwise.
   * @param blind - The library does not show what the token holds: it is initialized anew at once where that may be.
   */
  reconnect(reason: string, trouble: Trouble, blind = false): void {
    if (!this.#connected) return
    this.#counts.reconnect(reason)
    const upMs = performance.now() - this.#connectedAt
    this.#goDown(trouble)
    this.#leaving = this.#module.release()
    this.#cycle = this.#leaving.then(() => this.#ladder.climb(blind, upMs))
  }

  /** Another connection of this process finalizes the library next. */
  async #leave(reason: string, calm: boolean): Promise<void> {
    const left = Promise.withResolvers<void>()
    const leave = async () => {
      const attempted = this.#comeBack('module', reason, () => this.#ladder.attempt())
      left.resolve(this.#leaving)
      await attempted
    }
    const leaveCalmly = async () => {
      // Who finalizes has left already: calls that take too long to end are not waited for.
      if (!(await this.#renewal.calmly(leave))) await leave()
    }
    void (calm ? leaveCalmly() : leave())
    await left.promise
  }

  async #renew(): Promise<void> {
    const began = performance.now()
    await this.#comeBack('renewal', 'The library is initialized anew.', () => this.#ladder.renew())
    if (this.#connected) this.#log.renewed(performance.now() - began)
  }

  /** Leaves the library for no fault of the token. Resolves after the first attempt to come back. */
  async #comeBack(why: string, reason: string, attempt: () => Promise<AttemptEnd>): Promise<void> {
    if (!this.#connected) return
    this.#counts.reconnect(why)
    this.#goDown({ reason })
    this.#leaving = this.#module.release()
    const attempted = this.#leaving.then(attempt)
    this.#cycle = attempted.then((ended) => this.#ladder.goOn(ended))
    await attempted
  }

  /** May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    this.#goDown({ reason: 'The service is shutting down.' })
    await this.#cycle
    await this.#module.release()
    await this.#module.end()
    await this.lanes.end()
  }

  #goDown(trouble: Trouble): void {
    if (this.#connected) {
      this.#downSince = performance.now()
      if (!this.renewing) this.#log.lost(trouble)
    }
    this.#trouble = trouble
    this.#connected = undefined
    this.#keys.onDown()
    this.lanes.hold({ kind: 'unavailable', cause: this.unavailableCause() })
  }

  #goUp(connected: Connected): void {
    if (this.#closing.signal.aborted) return
    this.#connected = connected
    this.#connectedAt = performance.now()
    this.#waitsForOperator = false
    this.#counts.connected(connected.loggedIn)
    this.#events.onAttemptEnded?.('up')
    this.lanes.release()
    const { sessionObjectsMax = quirksOf(connected.token).sessionObjectsMax } = this.#settings
    this.#renewal.begin(sessionObjectsMax, this.#module.sessionObjects)
    if (this.renewing) return
    this.#log.connected(connected, this.#trouble, this.#connectedAt - this.#downSince)
    const passing = this.#settings.allowHostMemory ? keysInHostMemory(connected.capabilities) : undefined
    if (passing !== undefined) this.#log.inHostMemory(passing, connected.capabilities.refused)
    if (this.#starved && this.lanes.waiting().length > 0) this.#tellWaiting(this.#starved)
  }

  #onAttemptFailed(fault: TokenFault | undefined, trouble: Trouble, mayTryAgain: boolean): void {
    this.#waitsForOperator = !mayTryAgain
    this.#counts.notConnected(fault)
    this.#trouble = trouble
    this.#log.notConnected(trouble, mayTryAgain)
    this.#events.onAttemptEnded?.(mayTryAgain ? 'again' : 'operator')
  }

  /** @returns Whether a new lane takes the place of the one that was lost. */
  #onLaneLost(reason: Error): boolean {
    this.#log.laneLost(reason.message, this.lanes.lost)
    if (this.#connected) this.#trouble = { reason: `No lane is left to serve: ${reason.message}` }
    const beyond = this.lanes.lost.beyondReplacement()
    if (beyond === undefined) return !this.#closing.signal.aborted
    this.#events.onFatal(new Error(beyond, { cause: reason }))
    return false
  }

  #onStarved(fault: TokenFault): void {
    this.#starved = troubleOf(fault)
    if (this.#connected) this.#tellWaiting(this.#starved)
  }

  #tellWaiting(starved: Trouble): void {
    this.#trouble = starved
    this.#log.lanesWait(starved, this.lanes.waiting().length, this.lanes.crypto.readyLanes)
    this.#tender.wake()
  }

  #onNotes(notes: LaneNotes): void {
    this.#counts.note(notes)
    this.#module.countSessionObjects(notes.sessionObjects)
    if (this.#connected) this.#renewal.note(this.#module.sessionObjects)
    if (notes.misuses > 0) this.#log.misused(this.#counts.sessionMisuses)
  }

  /** While the token is down the next connect attaches it. */
  async #attachLane(pool: LanePool, lane: Lane): Promise<void> {
    const connected = this.#connected
    if (!connected) return
    const outcome = await this.lanes.attach(pool, lane, this.#module.attachmentOf(connected))
    if (this.#connected !== connected) return
    const fault = faultIn(outcome)
    if (fault) this.report(fault)
    if (lane.ready) pool.release()
    else this.#tender.wake()
  }
}
