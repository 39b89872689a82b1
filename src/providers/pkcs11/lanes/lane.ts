import { Worker } from 'node:worker_threads'
import type { ProviderTimings } from '../../../core/ports/crypto-provider.ts'
import { decodeFrames, encodeFrames, type Frame, OPERATIONS, type Operation, REPLY } from './messages.ts'

/** Messages that may be on their way to one lane: one being served, one so that it does not wait for the next. */
const BATCHES_IN_FLIGHT_MAX = 2

/** A worker that is being started may be silent this much longer: on a busy host it loads for a second. */
const START_ALLOWANCE_MS = 30_000

const INDEX = Object.fromEntries(OPERATIONS.map((operation, index) => [operation, index])) as Record<
  Operation,
  number
>

/** One request, from the moment a caller made it until it was settled. */
export interface Call {
  readonly operation: Operation
  readonly number: number
  readonly parts: readonly Uint8Array[]
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number
  /** `performance.now()` when it was made. */
  readonly enqueuedAt: number
  readonly timings: ProviderTimings | undefined
  /** Called once; later settlements are ignored by `Lane` and `LanePool`. */
  readonly settle: (outcome: CallOutcome) => void
  /** True once `settle` was called. */
  settled: boolean
}

export type CallOutcome =
  | { readonly kind: 'reply'; readonly frame: Frame }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'unavailable'; readonly cause: unknown }

export interface LaneEvents {
  /** Replies arrived: there may be room again. */
  onProgress(lane: Lane): void
  /** A procedure failed, or left notes. Called before its caller is answered. */
  onRemark(lane: Lane, reply: Frame): void
  /** The worker ended by itself: out of memory, or a crash in its code. */
  onExit(lane: Lane, cause: Error): void
}

/** The main thread's end of one worker. */
export class Lane {
  readonly #worker: Worker
  readonly #inFlight = new Map<number, Call>()
  /** Calls of each message on its way, oldest first. */
  readonly #batches: number[] = []
  readonly #events: LaneEvents
  /** Set once the lane's session is open, unset before it is closed: calls from the queue wait for it. */
  ready = false
  /** One word that the worker looks at: not 0 once the lane was given up. */
  readonly #givenUp = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  #nextId = 1
  #lastProgressAt = 0
  #exited = false
  #started = false

  constructor(name: string, events: LaneEvents) {
    this.#events = events
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    this.#worker = new Worker(new URL(file, import.meta.url), {
      name,
      execArgv: [],
      workerData: this.#givenUp,
    })
    this.#worker.unref()
    this.#worker.on('message', (message: Uint8Array<ArrayBuffer>) => this.#onReplies(message))
    this.#worker.on('error', (cause) =>
      this.#onEnd(cause instanceof Error ? cause : new Error(String(cause))),
    )
    this.#worker.on('exit', (code) => this.#onEnd(new Error(`The lane ended with exit code ${code}.`)))
  }

  /** What was sent and is not answered yet. */
  get operations(): readonly Operation[] {
    return Array.from(this.#inFlight.values(), ({ operation }) => operation)
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** True when the worker's thread is gone, so that nothing of it is inside the library. */
  get exited(): boolean {
    return this.#exited
  }

  get hasRoom(): boolean {
    return this.ready && this.#batches.length < BATCHES_IN_FLIGHT_MAX && !this.#exited
  }

  /** Milliseconds since the lane last answered, 0 while it has nothing to do. `now` is `performance.now()`. */
  silentMs(now: number): number {
    if (this.#inFlight.size === 0) return 0
    return now - this.#lastProgressAt - (this.#started ? 0 : START_ALLOWANCE_MS)
  }

  post(calls: readonly Call[]): void {
    if (this.#inFlight.size === 0) this.#lastProgressAt = performance.now()
    const frames = calls.map((call): Frame => {
      const id = this.#nextId
      this.#nextId = id === 0xffff_ffff ? 1 : id + 1
      this.#inFlight.set(id, call)
      return {
        id,
        code: INDEX[call.operation],
        time: call.deadlineAt,
        number: call.number,
        parts: call.parts,
      }
    })
    this.#batches.push(calls.length)
    const packet = encodeFrames(frames)
    this.#worker.postMessage(packet, [packet.buffer])
  }

  /** Answers the calls whose deadline passed; what the token gives for them is zeroed when it comes. */
  expire(now: number): void {
    for (const call of this.#inFlight.values()) {
      if (now > call.deadlineAt) settle(call, { kind: 'timeout' })
    }
  }

  /**
   * Gives every call in flight the same outcome and lets the worker go, even one that hangs in the library. Once it is out of
   * there it ends what it had begun, which destroys the session objects of that, and closes its session.
   */
  abandon(outcome: CallOutcome): void {
    const connects = this.operations.includes('connect')
    for (const call of this.#inFlight.values()) settle(call, outcome)
    this.#inFlight.clear()
    this.#worker.removeAllListeners('message')
    // The rest of a connect would give the PIN once more, or close the sessions of the next connection.
    if (connects) void this.#worker.terminate()
    else this.#giveUp()
  }

  #giveUp(): void {
    Atomics.store(this.#givenUp, 0, 1)
    // One that just became idle is woken, to find out.
    const packet = encodeFrames([])
    this.#worker.postMessage(packet, [packet.buffer])
  }

  /** Ends a worker that has nothing to do. */
  async end(): Promise<void> {
    this.#exited = true
    await this.#worker.terminate()
  }

  #onReplies(message: Uint8Array<ArrayBuffer>): void {
    this.#lastProgressAt = performance.now()
    this.#started = true
    for (const frame of decodeFrames(message)) {
      const call = this.#inFlight.get(frame.id)
      this.#inFlight.delete(frame.id)
      this.#countReply()
      if (frame.code === REPLY.fault || frame.number !== 0) this.#events.onRemark(this, frame)
      if (!call || call.settled) for (const part of frame.parts) part.fill(0)
      else this.#settleReply(call, frame)
    }
    this.#events.onProgress(this)
  }

  #settleReply(call: Call, frame: Frame): void {
    if (call.timings) {
      call.timings.tokenMs += frame.time
      call.timings.queueMs += Math.max(0, this.#lastProgressAt - call.enqueuedAt - frame.time)
    }
    settle(call, { kind: 'reply', frame })
  }

  /** The worker serves messages in order, so replies belong to the oldest. */
  #countReply(): void {
    const left = (this.#batches[0] ?? 1) - 1
    if (left === 0) this.#batches.shift()
    else this.#batches[0] = left
  }

  #onEnd(cause: Error): void {
    if (this.#exited) return
    this.#exited = true
    this.#events.onExit(this, cause)
  }
}

/** Settles a call that was not settled yet. */
export function settle(call: Call, outcome: CallOutcome): void {
  if (call.settled) return
  call.settled = true
  if (call.timings && outcome.kind !== 'reply') call.timings.queueMs += performance.now() - call.enqueuedAt
  call.settle(outcome)
}
