import { createHmac } from 'node:crypto'
import type { RequestListener, ServerOptions } from 'node:http'
import { Counter, Gauge, Registry } from 'prom-client'
import type { ChangedRow, KeyDirectory } from './core/key-directory.ts'
import { mergeExpositions } from './exposition.ts'
import type { ComponentHealth, ReadyReport } from './http/health.ts'
import { FedServer } from './lib/fed-server.ts'
import type { AttemptEnd } from './providers/pkcs11/settings.ts'
import { watchInstanceLock } from './store/instance-lock.ts'
import type { FileWatch } from './store/watched-file.ts'
import type { SupervisorLink } from './supervisor/link.ts'
import type { WorkersView } from './supervisor/messages.ts'
import type { NonceClaims } from './supervisor/nonce-claims.ts'
import type { Logins } from './tokens.ts'

/** How long a scrape waits for the other workers. */
const METRICS_TIMEOUT_MS = 1_000

/** What the other workers are asked. */
type Question =
  /** To drop a row that changed. */
  | { readonly kind: 'forget'; readonly row: ChangedRow }
  /** For the text of their metrics. */
  | { readonly kind: 'metrics' }

/** What of the gateway in this process its seat needs. */
export interface Seated {
  readonly directory: KeyDirectory
  readonly metrics: Registry
  /** Begins what only one worker may do. */
  readonly tend: () => void
}

/** The place of one gateway among several processes on one store and one address, under a supervisor. */
export class WorkerSeat implements Logins {
  readonly worker: number
  /** Held by the supervisor. */
  readonly lock: FileWatch
  readonly lockedAt: number
  readonly #link: SupervisorLink<unknown>
  #server: FedServer | undefined

  constructor(link: SupervisorLink<unknown>, storePath: string) {
    const { worker, lockedAt } = link.order
    this.worker = worker
    this.lockedAt = lockedAt
    this.lock = watchInstanceLock(storePath)
    this.#link = link
  }

  /** Address that the supervisor listens on. */
  get host(): string {
    return this.#link.order.address.address
  }

  /** Nonces that no worker has taken, those of workers that this one replaces included. */
  get nonces(): NonceClaims {
    return this.#link.nonces
  }

  /** A server whose connections the supervisor hands over. */
  createServer(options: ServerOptions, listener: RequestListener): FedServer {
    this.#server = new FedServer(options, listener, this.#link.order.address)
    return this.#server
  }

  /** Begins to serve. */
  take({ directory, metrics, tend }: Seated): void {
    this.#link.ready({
      onConnection: (socket) => this.#server?.take(socket),
      onTend: tend,
      onQuestion: async (question) => {
        const asked = question as Question
        if (asked.kind === 'metrics') return await metrics.metrics()
        directory.forget(asked.row)
        return true
      },
    })
  }

  /** Resolves when every other worker has dropped the row. */
  async tellPeers(row: ChangedRow): Promise<void> {
    await this.#link.askOthers({ kind: 'forget', row } satisfies Question)
  }

  /** Waits for this worker's turn to give a token a PIN; false when the token refused it to any worker. */
  mayTryPin(token: string, pin: Buffer): Promise<boolean> {
    const digest = createHmac('sha256', this.#link.order.digestKey).update(pin).digest('hex')
    return this.#link.mayLogin(token, digest)
  }

  onAttemptEnded(token: string, ended: AttemptEnd): void {
    this.#link.loginEnded(token, ended)
  }

  /** The metrics of all workers: `own` are this one's. */
  async exposition(own: string): Promise<string> {
    const others = await this.#link.askOthers({ kind: 'metrics' } satisfies Question, METRICS_TIMEOUT_MS)
    const texts = others.filter((text) => typeof text === 'string')
    return mergeExpositions([own, ...texts, await viewMetrics(this.#link.view)])
  }

  /**
   * What this worker found, and how the others are in the eyes of the supervisor. While half of the workers serve, this
   * machine is worth its share of the requests.
   */
  readiness(own: ReadyReport): ReadyReport {
    const { configured, serving } = this.#link.view
    const workers = healthOf(this.#link.view)
    const components = { ...own.components, workers }
    return {
      ready: own.ready && 2 * serving >= configured,
      degraded: own.degraded || !workers.ok,
      components,
    }
  }
}

function healthOf({ configured, serving, trouble }: WorkersView): ComponentHealth {
  if (trouble === undefined) return { ok: true }
  const reason = `${serving} of ${configured} workers serve. ${trouble}`
  return { ok: false, reason, hint: 'See the log for how they ended; a worker starts anew by itself.' }
}

async function viewMetrics({ configured, serving, restarts }: WorkersView): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({ name: 'p11kms_workers', help: 'Worker processes that are configured.', registers }).set(
    configured,
  )
  new Gauge({ name: 'p11kms_workers_serving', help: 'Worker processes that serve.', registers }).set(serving)
  new Counter({
    name: 'p11kms_worker_restarts_total',
    help: 'Worker processes that took the place of one that ended.',
    registers,
  }).inc(restarts)
  return await registry.metrics()
}
