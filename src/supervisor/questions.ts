import type { ToWorker } from './messages.ts'

interface Respondent {
  send(message: ToWorker): void
}

interface Question<Worker> {
  readonly asker: Worker
  /** The asker's own number for it. */
  readonly id: number
  readonly missing: Set<Worker>
  readonly answers: unknown[]
  readonly timer: NodeJS.Timeout | undefined
}

/** Passes what one worker asks to others and brings back the answers of those that live to give one. */
export class Questions<Worker extends Respondent> {
  readonly #open = new Map<number, Question<Worker>>()
  #nextId = 1

  /** @param timeoutMs - After it the answers that came are enough; for ever unless given. */
  ask(asker: Worker, others: readonly Worker[], id: number, question: unknown, timeoutMs?: number): void {
    const number = this.#nextId++
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#settle(number), timeoutMs)
    this.#open.set(number, { asker, id, missing: new Set(others), answers: [], timer })
    for (const other of others) other.send({ kind: 'ask', id: number, question })
    if (others.length === 0) this.#settle(number)
  }

  reply(worker: Worker, id: number, answer: unknown): void {
    const asked = this.#open.get(id)
    if (!asked?.missing.delete(worker)) return
    asked.answers.push(answer)
    if (asked.missing.size === 0) this.#settle(id)
  }

  /** Nobody waits for `worker` any more, nor does it. */
  gone(worker: Worker): void {
    for (const [number, asked] of this.#open) {
      const last = asked.missing.delete(worker) && asked.missing.size === 0
      if (last || asked.asker === worker) this.#settle(number)
    }
  }

  #settle(number: number): void {
    const asked = this.#open.get(number)
    if (!asked) return
    clearTimeout(asked.timer)
    this.#open.delete(number)
    asked.asker.send({ kind: 'answers', id: asked.id, answers: asked.answers })
  }
}
