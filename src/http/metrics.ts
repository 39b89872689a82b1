import { Counter, collectDefaultMetrics, Histogram, type Registry } from 'prom-client'
import type { RequestRecord } from './facade.ts'

/** Seconds: from a fraction of a soft token's operation to a request that waited for its deadline. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

const SECOND_MS = 1_000

interface Series {
  readonly requests: { inc(): void }
  readonly duration: { observe(seconds: number): void }
  readonly queue: { observe(seconds: number): void }
  readonly token: { observe(seconds: number): void }
}

/**
 * The HTTP side's metrics. Label values are names of façades, of operations and of faults, each from a fixed set:
 * what a caller sends never becomes a label.
 */
export class HttpMetrics {
  readonly #registry: Registry
  readonly #requests: Counter<'api' | 'operation' | 'outcome'>
  readonly #duration: Histogram<'api' | 'operation'>
  readonly #queue: Histogram<'api' | 'operation'>
  readonly #token: Histogram<'api' | 'operation'>
  readonly #internalErrors: Counter
  /** As many as there are sets of labels, which are bounded. */
  readonly #series = new Map<string, Series>()

  /** @param registry - Fresh, or at least without metrics of these names. */
  constructor(registry: Registry) {
    const registers = [registry]
    const labelNames = ['api', 'operation'] as const
    const histogram = (name: string, help: string) =>
      new Histogram({ name, help, labelNames, buckets: LATENCY_BUCKETS, registers })
    this.#registry = registry
    collectDefaultMetrics({ register: registry })
    this.#requests = new Counter({
      name: 'p11kms_requests_total',
      help: 'Requests answered, by API, operation and outcome (ok, or the name of the fault).',
      labelNames: ['api', 'operation', 'outcome'],
      registers,
    })
    this.#duration = histogram('p11kms_request_duration_seconds', 'Time from request to answer.')
    this.#queue = histogram('p11kms_token_queue_seconds', 'Time that a request waited for a token lane.')
    this.#token = histogram('p11kms_token_seconds', 'Time that a request spent in the token.')
    this.#internalErrors = new Counter({
      name: 'p11kms_internal_errors_total',
      help: 'Requests that failed through a fault of this program. Alert on any.',
      registers,
    })
  }

  /** Counts one answered request. */
  observe(api: string, record: RequestRecord, totalMs: number): void {
    const { operation, outcome } = record
    const { queueMs, tokenMs } = record.trail.timings
    const series = this.#seriesOf(api, operation, outcome)
    series.requests.inc()
    series.duration.observe(totalMs / SECOND_MS)
    if (tokenMs === 0 && queueMs === 0) return
    series.queue.observe(queueMs / SECOND_MS)
    series.token.observe(tokenMs / SECOND_MS)
  }

  /** The series of one set of labels, looked up once: prom-client hashes the labels at each use otherwise. */
  #seriesOf(api: string, operation: string, outcome: string): Series {
    const key = `${api} ${operation} ${outcome}`
    const known = this.#series.get(key)
    if (known) return known
    const series = {
      requests: this.#requests.labels({ api, operation, outcome }),
      duration: this.#duration.labels({ api, operation }),
      queue: this.#queue.labels({ api, operation }),
      token: this.#token.labels({ api, operation }),
    }
    this.#series.set(key, series)
    return series
  }

  countInternalError(): void {
    this.#internalErrors.inc()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics as text. Takes milliseconds of the main thread. */
  async render(): Promise<string> {
    return await this.#registry.metrics()
  }
}
