import type { CallOptions } from '../../../core/ports/crypto-provider.ts'
import { type Call, type CallOutcome, Lane, settle } from './lane.ts'
import { BATCH_MAX, type Frame, type Operation } from './messages.ts'

/**
 * So many calls leave before the turn of the event loop ends: the token works on them while the turn goes on. Waiting
 * for the end made main thread and lane take turns (6,000 against 8,500 requests a second at 16 connections).
 */
const EARLY_FLUSH_CALLS = 4
/** How often deadlines and silent lanes are looked at while there are calls. */
const SWEEP_INTERVAL_MS = 20
/** A sweep this late says that the main thread stood still, not the lanes: lanes get the benefit of the doubt. */
const SWEEP_STALL_MS = 500

export interface LanePoolSettings {
  /** `crypto`, `write`, `pair` or `control`. */
  readonly role: string
  readonly lanes: number
  /** Calls that may wait, and urgent calls besides. */
  readonly queueMax: number
  readonly laneTimeoutMs: number
  /** Operations with a time of their own: a lane that has several may be silent for the longest. Milliseconds. */
  readonly longCallsMs?: Partial<Readonly<Record<Operation, number>>>
  /**
   * Calls of one message that are not urgent, at most and by default {@link BATCH_MAX}. What a lane has been sent is not
   * overtaken any more, so a pool of slow calls sends them one by one.
   */
  readonly batchMax?: number
}

export interface LanePoolEvents {
  /**
   * A lane was lost; its calls were answered.
   *
   * @returns Whether a new one takes its place, which `onReplaced` then tells of.
   */
  onLost(lost: Lane, reason: Error): boolean
  /** `lane` is new and not attached yet. */
  onReplaced(lane: Lane): void
  /** A lane's procedure failed, or left notes. Called before its caller is answered. */
  onRemark(lane: Lane, reply: Frame): void
}

/**
 * Lanes of one role and the bounded queue before them, first in, first out, urgent calls first. Requests of one turn of the event loop
 * travel together, a few to a message, shared out over the lanes that are free.
 */
export class LanePool {
  readonly #settings: LanePoolSettings
  readonly #events: LanePoolEvents
  readonly #lanes: Lane[] = []
  #queue: Call[] = []
  #urgent: Call[] = []
  #flushing = false
  #sweeper: NodeJS.Timeout | undefined
  #sweepDueAt = 0
  /** What calls get while nothing is handed to the lanes. */
  #held: CallOutcome | undefined = { kind: 'unavailable', cause: undefined }

  constructor(settings: LanePoolSettings, events: LanePoolEvents) {
    this.#settings = settings
    this.#events = events
    for (let index = 0; index < settings.lanes; index += 1) this.#lanes.push(this.#spawn())
  }

  /** Calls waiting or running. */
  get depth(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.inFlight, this.#waiting)
  }

  /** Whether a call would be begun at once. */
  get idle(): boolean {
    return this.#waiting === 0 && this.#lanes.some((lane) => lane.hasRoom && lane.inFlight === 0)
  }

  get lanes(): readonly Lane[] {
    return this.#lanes
  }

  /** Lanes that can take calls. */
  get readyLanes(): number {
    return this.#lanes.filter((lane) => lane.ready && !lane.exited).length
  }

  /** Whether calls are handed to lanes rather than answered at once. */
  get open(): boolean {
    return this.#held === undefined
  }

  /**
   * Puts a call at the end of the queue; full means `timeout` at once. During a hold it gets the hold's outcome, so that
   * no call with handles of one connection waits for the next one.
   *
   * @param urgent - Goes ahead of every call that is not, in a queue of its own as long as theirs.
   */
  call(
    operation: Operation,
    number: number,
    parts: readonly Uint8Array[],
    options: CallOptions,
    urgent = false,
  ): Promise<CallOutcome> {
    if (this.#held) return Promise.resolve(this.#held)
    const queue = urgent ? this.#urgent : this.#queue
    if (queue.length >= this.#settings.queueMax) return Promise.resolve({ kind: 'timeout' })
    return new Promise((resolve) => {
      queue.push(makeCall(operation, number, parts, options, resolve))
      if (this.#waiting >= EARLY_FLUSH_CALLS) this.#flush()
      else this.#flushSoon()
      this.#sweepSoon()
    })
  }

  /** Sends a call to one particular lane, past the queue and past a hold. */
  callLane(
    lane: Lane,
    operation: Operation,
    parts: readonly Uint8Array[],
    deadlineAt: number,
  ): Promise<CallOutcome> {
    return new Promise((resolve) => {
      lane.post([makeCall(operation, 0, parts, { deadlineAt }, resolve)])
      this.#sweepSoon()
    })
  }

  /** Stops handing calls to lanes; those waiting, and those to come, get `outcome`. Calls in flight go on. */
  hold(outcome: CallOutcome): void {
    this.#held = outcome
    const waiting = [...this.#urgent, ...this.#queue]
    this.#urgent = []
    this.#queue = []
    for (const call of waiting) settle(call, outcome)
  }

  /** Hands calls to lanes again, where there is one to take them. */
  release(): void {
    if (this.readyLanes === 0) return
    this.#held = undefined
    this.#flushSoon()
  }

  async end(): Promise<void> {
    clearTimeout(this.#sweeper)
    await Promise.all(this.#lanes.map((lane) => lane.end()))
  }

  get #waiting(): number {
    return this.#urgent.length + this.#queue.length
  }

  #spawn(): Lane {
    return new Lane(`p11kms-${this.#settings.role}`, {
      onProgress: () => this.#flush(),
      onRemark: (lane, reply) => this.#events.onRemark(lane, reply),
      onExit: (lane, cause) => this.#lose(lane, { kind: 'unavailable', cause }, cause),
    })
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  /** Shares the queue out: idle lanes first, so that a slow token's lanes all work at once. */
  #flush(): void {
    while (this.#waiting > 0 && !this.#held) {
      const free = this.#lanes.filter((lane) => lane.hasRoom)
      const idle = free.filter((lane) => lane.inFlight === 0)
      const takers = idle.length > 0 ? idle : free
      if (takers.length === 0) return
      const share = Math.ceil(this.#waiting / takers.length)
      for (const lane of takers) {
        const batch = this.#take(share)
        if (batch.length > 0) lane.post(batch)
      }
    }
  }

  /** The next message: urgent calls or others, never both, so that the former do not share the latter's fate. */
  #take(share: number): Call[] {
    const now = Date.now()
    const batch: Call[] = []
    const urgent = this.#urgent.length > 0
    const count = Math.min(share, urgent ? BATCH_MAX : (this.#settings.batchMax ?? BATCH_MAX))
    for (const call of (urgent ? this.#urgent : this.#queue).splice(0, count)) {
      if (call.settled) continue
      if (now > call.deadlineAt) settle(call, { kind: 'timeout' })
      else batch.push(call)
    }
    return batch
  }

  #sweepSoon(): void {
    if (this.#sweeper) return
    this.#sweepDueAt = performance.now() + SWEEP_INTERVAL_MS
    this.#sweeper = setTimeout(() => this.#sweep(), SWEEP_INTERVAL_MS)
  }

  /** Ends calls past their deadline, wherever they are, and gives up lanes that do not answer. */
  #sweep(): void {
    this.#sweeper = undefined
    const stalled = performance.now() - this.#sweepDueAt > SWEEP_STALL_MS
    const now = Date.now()
    this.#urgent = expire(this.#urgent, now)
    this.#queue = expire(this.#queue, now)
    for (const lane of this.#lanes.slice()) {
      lane.expire(now)
      const limitMs = this.#silenceLimitMs(lane)
      if (!stalled && lane.silentMs(performance.now()) > limitMs) {
        const reason = new Error(`A ${this.#settings.role} lane did not answer for ${limitMs} ms.`)
        this.#lose(lane, { kind: 'timeout' }, reason)
      }
    }
    if (this.depth > 0) this.#sweepSoon()
  }

  #silenceLimitMs(lane: Lane): number {
    const { laneTimeoutMs, longCallsMs = {} } = this.#settings
    const limits = lane.operations.map((operation) => longCallsMs[operation] ?? laneTimeoutMs)
    return limits.length === 0 ? laneTimeoutMs : Math.max(...limits)
  }

  #lose(lane: Lane, outcome: CallOutcome, reason: Error): void {
    const index = this.#lanes.indexOf(lane)
    if (index < 0) return
    this.#lanes.splice(index, 1)
    lane.abandon(outcome)
    if (this.readyLanes === 0) this.hold({ kind: 'unavailable', cause: reason })
    if (!this.#events.onLost(lane, reason)) return
    const replacement = this.#spawn()
    this.#lanes.push(replacement)
    this.#events.onReplaced(replacement)
  }
}

/** Answers the calls whose deadline passed. @returns The others. */
function expire(queue: Call[], now: number): Call[] {
  if (!queue.some((call) => now > call.deadlineAt)) return queue
  for (const call of queue) if (now > call.deadlineAt) settle(call, { kind: 'timeout' })
  return queue.filter((call) => !call.settled)
}

function makeCall(
  operation: Operation,
  number: number,
  parts: readonly Uint8Array[],
  options: CallOptions,
  resolve: (outcome: CallOutcome) => void,
): Call {
  return {
    operation,
    number,
    parts,
    deadlineAt: options.deadlineAt,
    enqueuedAt: performance.now(),
    timings: options.timings,
    settle: resolve,
    settled: false,
  }
}
