import type { FromWorker, NonceClaim } from './messages.ts'

/** What a request waits for the supervisor, whose loop does little else; then it is refused. */
const ANSWER_TIMEOUT_MS = 2_000

/** Claims that travel as one message. */
interface Batch {
  readonly claims: NonceClaim[]
  readonly settle: ((fresh: boolean | undefined) => void)[]
}

/**
 * A worker's way to take nonces that no worker of the service has taken: the supervisor knows them all, those of workers that are
 * gone included. What is asked for in one turn of the loop travels together.
 */
export class NonceClaims {
  readonly #send: (message: FromWorker) => void
  readonly #asked = new Map<number, { readonly batch: Batch; readonly timer: NodeJS.Timeout }>()
  #open: Batch | undefined
  #nextId = 1

  constructor(send: (message: FromWorker) => void) {
    this.#send = send
  }

  /** @returns Whether no worker took it before; nothing when the supervisor does not say so in time. */
  take(accessKeyId: string, nonce: string, validUntil: number): Promise<boolean | undefined> {
    return new Promise((resolve) => {
      const batch = this.#open ?? this.#begin()
      batch.claims.push({ accessKeyId, nonce, validUntil })
      batch.settle.push(resolve)
    })
  }

  /** The supervisor's answer: one for each claim of the batch, in its order. */
  answered(id: number, fresh: readonly boolean[]): void {
    const asked = this.#asked.get(id)
    if (!asked) return
    this.#asked.delete(id)
    clearTimeout(asked.timer)
    asked.batch.settle.forEach((settle, index) => settle(fresh[index]))
  }

  #begin(): Batch {
    const batch: Batch = { claims: [], settle: [] }
    this.#open = batch
    setImmediate(() => {
      this.#open = undefined
      const id = this.#nextId++
      const timer = setTimeout(() => this.answered(id, []), ANSWER_TIMEOUT_MS)
      this.#asked.set(id, { batch, timer })
      this.#send({ kind: 'takeNonces', id, claims: batch.claims })
    })
    return batch
  }
}
