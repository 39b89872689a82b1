import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { SYSTEM_CLOCK } from '../lib/clock.ts'
import { NonceCache } from '../lib/nonce-cache.ts'
import { Door } from './door.ts'
import { LoginDesk } from './login-desk.ts'
import type { FromWorker, WorkersView } from './messages.ts'
import { Questions } from './questions.ts'
import { emptySlot, explanation, type Slot, troubleOf } from './slot.ts'
import { WorkerProcess } from './worker-process.ts'

export interface SupervisorSettings {
  readonly workers: number
  readonly host: string
  readonly port: number
  readonly connectionsMax: number
  /** What every worker gets to serve by. */
  readonly settings: unknown
  readonly secrets: readonly Buffer[]
  readonly entry: URL
  readonly lockedAt: number
  /** Asked before a worker is started; throws once the lock that workers serve under is lost. */
  readonly requireLock: () => void
  /** Exit codes that another start would only repeat: such a worker is not started anew. */
  readonly finalExitCodes: readonly number[]
  /** A worker that says nothing for so long is killed. Milliseconds. */
  readonly silenceMsMax: number
  /** The same for one that does not serve yet. Milliseconds. */
  readonly startSilenceMsMax: number
  /** What a worker may take to end after it was told to. Milliseconds. */
  readonly endTimeoutMs: number
}

/** The part of a logger that the supervisor uses (pino's shape). */
export interface SupervisorLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface SupervisorEvents {
  readonly log: SupervisorLog
  /** Whole lines of a worker. */
  readonly onLog: (lines: string) => void
}

/**
 * Keeps N worker processes serving one address and one store. It loads no PKCS#11 library, so what crashes one crashes one
 * worker, which is started anew. It holds what outlives a worker: the listening socket, the lock of the store, and secrets
 * that can be read once.
 */
export class Supervisor {
  readonly #settings: SupervisorSettings
  readonly #events: SupervisorEvents
  readonly #slots: readonly Slot[]
  readonly #door: Door
  readonly #questions = new Questions<WorkerProcess>()
  readonly #nonces = new NonceCache(SYSTEM_CLOCK)
  readonly #digestKey = randomBytes(32)
  readonly #desks = new Map<string, LoginDesk>()
  /** Every process that is not gone yet, those that are being replaced included. */
  readonly #alive = new Set<WorkerProcess>()
  readonly #failed = Promise.withResolvers<number | Error>()
  readonly #gone = Promise.withResolvers<void>()
  #address: AddressInfo | undefined
  #tender: WorkerProcess | undefined
  #restarts = 0
  #stopping = false
  #onReady: (() => void) | undefined

  constructor(settings: SupervisorSettings, events: SupervisorEvents) {
    this.#settings = settings
    this.#events = events
    this.#slots = Array.from({ length: settings.workers }, (_, i) => emptySlot(i + 1))
    const { host, port, connectionsMax } = settings
    this.#door = new Door({
      host,
      port,
      waitingMax: connectionsMax,
      explain: () => JSON.stringify(explanation(this.view)),
    })
  }

  /** Settles when no worker can be started any more: with the exit code that another start would repeat, or with why. */
  get failed(): Promise<number | Error> {
    return this.#failed.promise
  }

  get view(): WorkersView {
    const trouble = this.#slots.flatMap(troubleOf).join(' ')
    return {
      configured: this.#slots.length,
      serving: this.#slots.filter(({ process }) => process?.readyAt !== undefined).length,
      restarts: this.#restarts,
      ...(trouble && { trouble }),
    }
  }

  /**
   * Listens and starts the workers: one first, which brings the store up to date and meets what is wrong with the settings,
   * then the others. Resolves when all of them serve, or when {@link Supervisor.failed} or a stop comes first.
   */
  async start(): Promise<AddressInfo> {
    const address = await this.#door.open()
    this.#address = address
    const [first, ...others] = this.#slots
    if (first) this.#fill(first)
    await this.#until(() => this.view.serving > 0)
    if (this.view.serving === 0) return address
    for (const slot of others) this.#fill(slot)
    await this.#until(() => this.view.serving === this.#slots.length)
    return address
  }

  /** Lets every worker finish what is in flight. Resolves when all of them are gone; who takes too long is killed. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#onReady?.()
    this.#door.close()
    for (const { restart } of this.#slots) clearTimeout(restart)
    for (const worker of this.#alive) worker.send({ kind: 'stop' })
    if (this.#alive.size === 0) return
    const timer = setTimeout(() => {
      this.#events.log.warn({ workers: [...this.#alive].map(({ number }) => number) }, 'killing workers')
      this.kill()
    }, this.#settings.endTimeoutMs)
    await this.#gone.promise
    clearTimeout(timer)
  }

  /** Ends every worker at once. */
  kill(): void {
    for (const worker of this.#alive) worker.kill()
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#onReady = () => {
        if (!condition() && !this.#stopping) return
        this.#onReady = undefined
        resolve()
      }
      void this.failed.then(() => resolve())
      this.#onReady()
    })
  }

  #fill(slot: Slot): void {
    if (this.#stopping || !this.#address || slot.process) return
    slot.restart = undefined
    try {
      this.#settings.requireLock()
    } catch (error) {
      this.#failed.resolve(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const { settings, secrets, entry, lockedAt, silenceMsMax, startSilenceMsMax } = this.#settings
    const order = {
      kind: 'start',
      worker: slot.number,
      settings,
      address: this.#address,
      lockedAt,
      digestKey: this.#digestKey,
      view: this.view,
    } as const
    slot.process = new WorkerProcess(
      order,
      { entry, secrets, silenceMsMax, startSilenceMsMax },
      {
        onMessage: (worker, message) => this.#hear(slot, worker, message),
        onGone: (worker) => this.#onGone(slot, worker),
        onLog: this.#events.onLog,
      },
    )
    this.#alive.add(slot.process)
  }

  #hear(slot: Slot, worker: WorkerProcess, message: FromWorker): void {
    switch (message.kind) {
      case 'beat':
        return
      case 'ready':
        return this.#onWorkerReady(worker)
      case 'leaving':
        return this.#onLeaving(slot, worker)
      case 'taken':
        return this.#door.taken(worker)
      case 'askOthers': {
        const others = this.#serving().filter((other) => other !== worker)
        const { id, question, timeoutMs } = message
        return this.#questions.ask(worker, others, id, question, timeoutMs)
      }
      case 'reply':
        return this.#questions.reply(worker, message.id, message.answer)
      case 'login': {
        const { token, digest } = message
        const answer = (yes: boolean) => worker.send({ kind: 'mayLogin', token, yes })
        return this.#desk(token).ask(worker, digest, answer)
      }
      case 'loginEnded':
        return this.#desk(message.token).ended(worker, message.ended)
      case 'takeNonces': {
        const { id, claims } = message
        const fresh = claims.map((claim) =>
          this.#nonces.take(claim.accessKeyId, claim.nonce, claim.validUntil),
        )
        return worker.send({ kind: 'nonces', id, fresh })
      }
    }
  }

  #serving(): WorkerProcess[] {
    return [...this.#alive].filter(({ readyAt }) => readyAt !== undefined)
  }

  #desk(token: string): LoginDesk {
    const known = this.#desks.get(token)
    if (known) return known
    const desk = new LoginDesk()
    this.#desks.set(token, desk)
    return desk
  }

  #onWorkerReady(worker: WorkerProcess): void {
    if (worker.leaving) return
    worker.readyAt = performance.now()
    this.#events.log.info({ worker: worker.number, pid: worker.pid }, 'worker serves')
    if (this.#stopping) return
    this.#door.add(worker)
    this.#appointTender()
    this.#tellView()
    this.#onReady?.()
  }

  /** What only one worker may do is done by one that serves; another takes over once it is gone. */
  #appointTender(): void {
    if (this.#tender) return
    this.#tender = this.#serving().find(({ leaving }) => !leaving)
    this.#tender?.send({ kind: 'tend' })
  }

  #tellView(): void {
    const { view } = this
    for (const worker of this.#serving()) worker.send({ kind: 'view', view })
  }

  /** Another process takes its place at once; what it has in flight it finishes beside it. */
  #onLeaving(slot: Slot, worker: WorkerProcess): void {
    if (worker.leaving || this.#stopping) return
    worker.leaving = true
    this.#door.remove(worker)
    setTimeout(() => worker.kill(), this.#settings.endTimeoutMs).unref()
    this.#replace(slot, worker, 'giving up')
  }

  #onGone(slot: Slot, worker: WorkerProcess): void {
    this.#alive.delete(worker)
    this.#door.lost(worker)
    this.#questions.gone(worker)
    for (const desk of this.#desks.values()) desk.ended(worker, 'again')
    if (this.#tender === worker) this.#tender = undefined
    if (this.#stopping) {
      if (this.#alive.size === 0) this.#gone.resolve()
      return
    }
    this.#appointTender()
    slot.lastEnd = worker.end
    if (slot.process === worker) this.#replace(slot, worker, 'ended')
    else this.#tellView()
  }

  #replace(slot: Slot, worker: WorkerProcess, how: 'ended' | 'giving up'): void {
    const servedMs = worker.readyAt === undefined ? 0 : performance.now() - worker.readyAt
    slot.process = undefined
    const { number } = slot
    const { end } = worker
    if (how === 'ended' && typeof end === 'number' && this.#settings.finalExitCodes.includes(end)) {
      slot.givenUp = true
      this.#events.log.error({ worker: number, exit: end }, 'worker is not started anew')
      this.#tellView()
      if (this.#slots.every(({ process, restart }) => !process && !restart)) this.#failed.resolve(end)
      return
    }
    const delayMs = slot.policy.ended(servedMs)
    const fields = {
      worker: number,
      ...(how === 'ended' && { end }),
      endsInARow: slot.policy.endsInARow,
      delayMs,
    }
    this.#events.log.error(fields, `worker ${how}; another takes its place`)
    this.#restarts += 1
    slot.restart = setTimeout(() => this.#fill(slot), delayMs)
    this.#tellView()
  }
}
