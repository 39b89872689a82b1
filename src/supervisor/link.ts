import type { Socket } from 'node:net'
import {
  BEAT_INTERVAL_MS,
  type FromWorker,
  type LoginEnd,
  type StartOrder,
  type ToWorker,
  type WorkersView,
} from './messages.ts'
import { NonceClaims } from './nonce-claims.ts'

/** What a worker does when its supervisor says so. */
export interface LinkEvents {
  onConnection(socket: Socket): void
  /** From now on this worker alone does what only one may do. */
  onTend(): void
  /** Another worker asks. */
  onQuestion(question: unknown): Promise<unknown>
}

/** A worker's end of the channel to its supervisor. */
export class SupervisorLink<Settings> {
  readonly order: StartOrder<Settings>
  /** Settles when the supervisor wants this process to finish and end. */
  readonly stopped: Promise<void>
  /** Nonces of requests, over all workers. */
  readonly nonces = new NonceClaims((message) => this.#send(message))
  readonly #stop: () => void
  readonly #questions = new Map<number, (answers: readonly unknown[]) => void>()
  readonly #logins = new Map<string, PromiseWithResolvers<boolean>>()
  readonly #onLost: () => void
  #events: LinkEvents | undefined
  #view: WorkersView
  #nextId = 1
  #stopping = false

  private constructor(order: StartOrder<Settings>, onLost: () => void) {
    this.order = order
    this.#view = order.view
    this.#onLost = onLost
    const { promise, resolve } = Promise.withResolvers<void>()
    this.stopped = promise
    this.#stop = resolve
    process.on('message', (message, socket) => this.#hear(message as ToWorker<Settings>, socket as Socket))
    process.once('disconnect', onLost)
    setInterval(() => this.#send({ kind: 'beat' }), BEAT_INTERVAL_MS).unref()
  }

  /**
   * Waits for what this process is to do.
   *
   * @param onLost - The supervisor is gone, and with it the lock of the store: this process must end at once.
   */
  static async join<Settings>(onLost: () => void): Promise<SupervisorLink<Settings>> {
    if (!process.connected) throw new Error('A worker is started by "p11kms serve", not by hand.')
    const order = await new Promise<StartOrder<Settings>>((resolve) => {
      process.once('message', (message) => resolve(message as StartOrder<Settings>))
      process.once('disconnect', onLost)
    })
    process.removeListener('disconnect', onLost)
    return new SupervisorLink(order, onLost)
  }

  get view(): WorkersView {
    return this.#view
  }

  /** Takes connections and orders from now on. */
  ready(events: LinkEvents): void {
    this.#events = events
    this.#send({ kind: 'ready' })
  }

  /** Says that this process is about to end by itself: another is to take its place. */
  leaving(): void {
    this.#send({ kind: 'leaving' })
  }

  /** Lets the process end: nothing is heard of the supervisor any more. */
  close(): void {
    process.removeListener('disconnect', this.#onLost)
    if (process.connected) process.disconnect()
  }

  /** The answers of the other workers that serve; of those that came within `timeoutMs` where it is given. */
  askOthers(question: unknown, timeoutMs?: number): Promise<readonly unknown[]> {
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#questions.set(id, resolve)
      this.#send({ kind: 'askOthers', id, question, ...(timeoutMs !== undefined && { timeoutMs }) })
    })
  }

  /**
   * Waits for this worker's turn to give a token the PIN that `digest` stands for.
   *
   * @returns False when the token refused it before. Throws when this worker is to end.
   */
  async mayLogin(token: string, digest: string): Promise<boolean> {
    if (this.#stopping) throw shuttingDown()
    const turn = Promise.withResolvers<boolean>()
    this.#logins.set(token, turn)
    this.#send({ kind: 'login', token, digest })
    return await turn.promise
  }

  loginEnded(token: string, ended: LoginEnd): void {
    this.#send({ kind: 'loginEnded', token, ended })
  }

  #hear(message: ToWorker<Settings>, socket: Socket | undefined): void {
    switch (message.kind) {
      case 'start':
        return
      case 'connection':
        // Before a byte of it is read: what is not taken when this process dies goes to another.
        this.#send({ kind: 'taken' })
        // A client that went away on the way here leaves none.
        if (socket) this.#events?.onConnection(socket)
        return
      case 'tend':
        return this.#events?.onTend()
      case 'view':
        this.#view = message.view
        return
      case 'ask':
        return void this.#answer(message.id, message.question)
      case 'answers':
        this.#questions.get(message.id)?.(message.answers)
        this.#questions.delete(message.id)
        return
      case 'mayLogin':
        this.#logins.get(message.token)?.resolve(message.yes)
        this.#logins.delete(message.token)
        return
      case 'nonces':
        return this.nonces.answered(message.id, message.fresh)
      case 'stop':
        return this.#onStop()
    }
  }

  #onStop(): void {
    this.#stopping = true
    for (const turn of this.#logins.values()) turn.reject(shuttingDown())
    this.#logins.clear()
    this.#stop()
  }

  async #answer(id: number, question: unknown): Promise<void> {
    const answer = await this.#events?.onQuestion(question)
    this.#send({ kind: 'reply', id, answer })
  }

  /** What cannot be sent goes to a supervisor that is gone, which ends this process. */
  #send(message: FromWorker): void {
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
  }
}

function shuttingDown(): Error {
  return new Error('The service is shutting down.')
}
