import { describeFault, lacksSession, type TokenFault } from './errors.ts'
import type { Attachment } from './lane-token.ts'
import type { CallOutcome, Lane } from './lanes/lane.ts'
import { type Frame, jsonPart, type LaneNotes, parseJsonPart, REPLY, unpackNotes } from './lanes/messages.ts'
import { LanePool, type LanePoolSettings } from './lanes/pool.ts'
import { faultIn, isOk, requireReply } from './lanes/reply.ts'
import { LostLanes } from './lost-lanes.ts'
import type { Connected, ConnectRequest } from './procedures/connect.ts'
import type { Pkcs11TokenSettings } from './settings.ts'

/** Calls that may wait before the write lane and before the control lane. */
const WRITE_QUEUE_MAX = 256
const CONTROL_QUEUE_MAX = 64
/** A connect tries what the token can do: more than a hundred calls, on some tokens of 100 ms each. */
const CONNECT_TIMEOUT_MS = 60_000
/** Calls of our own end with their lane rather than by a deadline. */
const NO_DEADLINE = Number.MAX_SAFE_INTEGER

/** {@link Attachment} without what differs by role. */
export type LaneAttachment = Omit<Attachment, 'write'>

export interface LaneFleetEvents {
  /** A lane was given up and counted. @returns Whether a new one takes its place. */
  onLost(reason: Error): boolean
  /** A new lane took a lost one's place and is not attached yet. */
  onReplaced(pool: LanePool, lane: Lane): void
  /** A lane could not open a session: it takes no calls until it is attached anew. */
  onStarved(fault: TokenFault): void
  onNotes(notes: LaneNotes): void
}

/** Every lane of one token, and what is done to all of them at once. */
export class LaneFleet {
  readonly crypto: LanePool
  readonly write: LanePool
  /** Makes key pairs, which takes seconds: a lane of its own, so that nothing else waits for one. */
  readonly pair: LanePool
  readonly control: LanePool
  readonly lost: LostLanes
  readonly #settings: Pkcs11TokenSettings
  readonly #events: LaneFleetEvents

  constructor(settings: Pkcs11TokenSettings, events: LaneFleetEvents) {
    this.#settings = settings
    this.#events = events
    this.lost = new LostLanes(settings.lostLanesMax)
    this.crypto = this.#pool({ role: 'crypto', lanes: settings.lanes.crypto, queueMax: settings.queueMax })
    const { pairTimeoutMs } = settings
    // A key pair that is a master key is made here all the same: SoftHSM fails at random where one session makes a token
    // object while another one searches.
    this.write = this.#pool({
      role: 'write',
      lanes: 1,
      queueMax: WRITE_QUEUE_MAX,
      batchMax: 1,
      longCallsMs: { createKeyPair: pairTimeoutMs, createImportPair: pairTimeoutMs },
    })
    const longCallsMs = { sealKeyPair: pairTimeoutMs }
    this.pair = this.#pool({ role: 'pair', lanes: 1, queueMax: 1, longCallsMs })
    this.control = this.#pool({
      role: 'control',
      lanes: 1,
      queueMax: CONTROL_QUEUE_MAX,
      longCallsMs: { connect: CONNECT_TIMEOUT_MS },
    })
  }

  /** Calls waiting or running, over all lanes. */
  get depth(): number {
    return this.#pools().reduce((sum, pool) => sum + pool.depth, 0)
  }

  /** Answers what waits, and what comes, with `outcome`. Calls in flight go on. */
  hold(outcome: CallOutcome): void {
    for (const pool of this.#pools()) pool.hold(outcome)
  }

  /** Lanes that can take calls once they are attached, the first to serve first. */
  waiting(): { readonly pool: LanePool; readonly lane: Lane }[] {
    return this.#pools().flatMap((pool) =>
      pool.lanes.filter((lane) => !lane.ready).map((lane) => ({ pool, lane })),
    )
  }

  release(): void {
    for (const pool of this.#pools()) pool.release()
  }

  async end(): Promise<void> {
    await Promise.all(this.#pools().map((pool) => pool.end()))
  }

  /**
   * Has the control lane connect.
   *
   * @param pin - Zeroed before this returns.
   */
  async connect(request: ConnectRequest, pin: Buffer): Promise<Connected> {
    const [lane] = this.control.lanes
    if (!lane) {
      pin.fill(0)
      throw new Error('There is no control lane left.')
    }
    let reply: Promise<CallOutcome>
    try {
      reply = this.control.callLane(lane, 'connect', [jsonPart(request), pin], NO_DEADLINE)
    } finally {
      pin.fill(0)
    }
    const [answer] = requireReply(this.#settings.name, await reply)
    lane.ready = true
    return parseJsonPart(answer) as Connected
  }

  /**
   * Has the control lane end the connection, after every other lane was detached.
   *
   * @param path - The library.
   * @param slotHex - Slot whose sessions are all closed; none but the lane's own where it is absent.
   */
  async disconnect(path: string, slotHex: string | undefined): Promise<void> {
    await this.#detach([this.control])
    if (slotHex === undefined) return
    const parts = [Buffer.from(path), Buffer.from(slotHex)]
    await this.#toEveryLane([this.control], (pool, lane) =>
      pool.callLane(lane, 'disconnect', parts, NO_DEADLINE),
    )
  }

  /** Has the control lane finalize the library at `path`, which nobody uses now. @returns Whether that worked. */
  async finalize(path: string): Promise<boolean> {
    const outcomes = await this.#toEveryLane([this.control], (pool, lane) =>
      pool.callLane(lane, 'finalize', [Buffer.from(path)], NO_DEADLINE),
    )
    return outcomes.some(isOk)
  }

  /**
   * Attaches as many lanes as there are sessions for.
   *
   * @throws What a lane answered, where the token cannot be served without it.
   */
  async attachAll(attachment: LaneAttachment): Promise<void> {
    for (const pool of [this.write, this.crypto, this.pair]) {
      const outcomes = await this.#toEveryLane([pool], (_, lane) => this.attach(pool, lane, attachment))
      for (const outcome of outcomes.toSorted((a, b) => Number(isStarved(a)) - Number(isStarved(b)))) {
        const needed = pool !== this.pair && pool.readyLanes === 0
        if (!isStarved(outcome) || needed) requireReply(this.#settings.name, outcome)
      }
    }
  }

  async attach(pool: LanePool, lane: Lane, attachment: LaneAttachment): Promise<CallOutcome> {
    const parts = [jsonPart({ ...attachment, write: pool === this.write })]
    const outcome = await pool.callLane(lane, 'attach', parts, NO_DEADLINE)
    lane.ready = isOk(outcome)
    const fault = faultIn(outcome)
    if (fault && lacksSession(fault)) this.#events.onStarved(fault)
    return outcome
  }

  /** Closes the session of every lane but the control lane, once the calls that it has are answered. */
  async detachAll(): Promise<void> {
    await this.#detach([this.crypto, this.write, this.pair])
  }

  async #detach(pools: readonly LanePool[]): Promise<void> {
    await this.#toEveryLane(pools, (pool, lane) => {
      lane.ready = false
      return pool.callLane(lane, 'detach', [], NO_DEADLINE)
    })
  }

  #pools(): readonly LanePool[] {
    return [this.crypto, this.write, this.pair, this.control]
  }

  #pool(settings: Omit<LanePoolSettings, 'laneTimeoutMs'>): LanePool {
    const { laneTimeoutMs } = this.#settings
    const pool: LanePool = new LanePool(
      { laneTimeoutMs, ...settings },
      {
        onLost: (lane, reason) => {
          this.lost.add(lane)
          return this.#events.onLost(reason)
        },
        onReplaced: (lane) => this.#events.onReplaced(pool, lane),
        onRemark: (lane, reply) => this.#onRemark(pool, lane, reply),
      },
    )
    return pool
  }

  #onRemark(pool: LanePool, lane: Lane, { code, number, parts }: Frame): void {
    if (number !== 0) this.#events.onNotes(unpackNotes(number))
    if (code !== REPLY.fault || !lane.ready) return
    const fault = parseJsonPart(parts[0]) as TokenFault
    if (!lacksSession(fault)) return
    lane.ready = false
    const cause = new Error(`No lane has a session: ${describeFault(fault)}.`)
    if (pool.readyLanes === 0) pool.hold({ kind: 'unavailable', cause })
    this.#events.onStarved(fault)
  }

  async #toEveryLane(
    pools: readonly LanePool[],
    send: (pool: LanePool, lane: Lane) => Promise<CallOutcome>,
  ): Promise<CallOutcome[]> {
    return await Promise.all(pools.flatMap((pool) => pool.lanes.map((lane) => send(pool, lane))))
  }
}

function isStarved(outcome: CallOutcome): boolean {
  const fault = faultIn(outcome)
  return fault !== undefined && lacksSession(fault)
}
