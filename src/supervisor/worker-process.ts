import { type ChildProcess, fork, type StdioOptions } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import type { Taker } from './door.ts'
import { WholeLines } from './lines.ts'
import type { FromWorker, StartOrder, ToWorker } from './messages.ts'

/** The first descriptor of a worker that carries a secret; below it are input, output, errors and messages. */
export const FIRST_SECRET_FD = 4
const LISTEN_INTERVAL_MS = 1_000

export interface WorkerSettings {
  /** The module that a worker runs. */
  readonly entry: URL
  /** What the descriptors from {@link FIRST_SECRET_FD} on give; the caller keeps and zeroes them. */
  readonly secrets: readonly Buffer[]
  /** A process that says nothing for so long stands still and cannot end itself: it is killed. Milliseconds. */
  readonly silenceMsMax: number
  /** The same before it serves, when it may bring a large store up to date and can say nothing meanwhile. Milliseconds. */
  readonly startSilenceMsMax: number
}

export interface WorkerEvents {
  onMessage(worker: WorkerProcess, message: FromWorker): void
  /** Once, when the process is gone and all that it wrote was read. */
  onGone(worker: WorkerProcess): void
  /** Whole lines that it logged. */
  onLog(lines: string): void
}

/** How a process ended: its exit code, or the signal that ended it. */
export type End = number | NodeJS.Signals

/** The supervisor's end of one worker process. */
export class WorkerProcess implements Taker {
  readonly number: number
  readonly #child: ChildProcess
  readonly #heart: NodeJS.Timeout
  #silentMs = 0
  #end: End = 'SIGKILL'
  /** `performance.now()` since when it serves. */
  readyAt: number | undefined
  /** It was told to end, or said that it will. */
  leaving = false

  constructor(order: StartOrder<unknown>, settings: WorkerSettings, events: WorkerEvents) {
    this.number = order.worker
    const secretPipes = settings.secrets.map(() => 'pipe' as const)
    const stdio: StdioOptions = ['ignore', 'pipe', 'inherit', 'ipc', ...secretPipes]
    // Its number is for those who look at the list of processes.
    this.#child = fork(settings.entry, [`${order.worker}`], { stdio, serialization: 'advanced' })
    this.#child.on('error', () => this.kill())
    this.#child.on('message', (message) => {
      this.#silentMs = 0
      events.onMessage(this, message as FromWorker)
    })
    this.#child.once('exit', (code, signal) => {
      this.#end = signal ?? code ?? 'SIGKILL'
    })
    // Not at 'exit': what it wrote last may still be on its way.
    this.#child.once('close', () => {
      clearInterval(this.#heart)
      events.onGone(this)
    })
    const lines = new WholeLines((text) => events.onLog(text))
    this.#child.stdout?.on('data', (chunk: Buffer) => lines.add(chunk))
    settings.secrets.forEach((secret, i) => giveSecret(this.#child.stdio[FIRST_SECRET_FD + i], secret))
    this.#heart = setInterval(() => this.#listen(settings), LISTEN_INTERVAL_MS)
    this.send(order)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** How it ended, once it did. */
  get end(): End {
    return this.#end
  }

  /** A process that is gone is told nothing; its end is an event of its own. */
  send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, noteNothing)
  }

  hand(socket: Socket): void {
    // Both ends hold it until the worker says that it took it.
    this.#child.send({ kind: 'connection' } satisfies ToWorker, socket, { keepOpen: true }, noteNothing)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Counts turns of this process's own loop, so that a machine that stood still is nobody's silence. */
  #listen({ silenceMsMax, startSilenceMsMax }: WorkerSettings): void {
    this.#silentMs += LISTEN_INTERVAL_MS
    if (this.#silentMs > (this.readyAt === undefined ? startSilenceMsMax : silenceMsMax)) this.kill()
  }
}

function giveSecret(pipe: Readable | Writable | null | undefined, secret: Buffer): void {
  if (!pipe || !('end' in pipe)) return
  // A worker that died before it read.
  pipe.on('error', () => undefined)
  pipe.end(secret)
}

/** A message that cannot be sent went to a process that is ending, of which an event tells. */
function noteNothing(): void {}
