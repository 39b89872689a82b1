import { Counter, Gauge, type Registry } from 'prom-client'

/** What is measured of a token's connection. */
export interface TokenGauges {
  readonly state: string
  readonly queueDepth: number
  readonly generation: number
  readonly breaker: 'closed' | 'half-open' | 'open'
  readonly lanesServing: number
  readonly lanesLost: number
  readonly lanesHung: number
  readonly logins: number
  readonly loginsRefused: number
  /** By reason: return values, or words of ours. */
  readonly reconnects: Readonly<Record<string, number>>
  readonly sessionsDiscarded: number
  readonly sessionMisuses: number
}

const GAUGES: readonly (readonly [name: string, help: string, read: (status: TokenGauges) => number])[] = [
  ['p11kms_token_up', 'Whether the token is connected.', ({ state }) => (state === 'up' ? 1 : 0)],
  ['p11kms_token_queue_depth', 'Calls that wait for the token or run in it.', ({ queueDepth }) => queueDepth],
  ['p11kms_token_connects', 'Times that the token was connected.', ({ generation }) => generation],
  ['p11kms_token_lanes_serving', 'Crypto lanes that have a session.', ({ lanesServing }) => lanesServing],
  ['p11kms_token_lanes_lost', 'Lanes that were given up since the start.', ({ lanesLost }) => lanesLost],
  [
    'p11kms_token_lanes_hung',
    'Lanes given up whose thread is still in the library.',
    ({ lanesHung }) => lanesHung,
  ],
]

const BREAKER_STATES = ['closed', 'half-open', 'open'] as const

/** What one metric says of a status: a value per value of its own label, where it has one. */
interface Labelled {
  readonly name: string
  readonly help: string
  readonly label?: string
  readonly read: (status: TokenGauges) => Readonly<Record<string, number>>
}

const COUNTERS: readonly Labelled[] = [
  {
    name: 'p11kms_token_reconnects_total',
    help: 'Connections that were given up, by the return value or the word that told.',
    label: 'reason',
    read: ({ reconnects }) => reconnects,
  },
  {
    name: 'p11kms_token_logins_total',
    help: 'C_Login by how it ended. A PIN that was refused is not tried again.',
    label: 'outcome',
    read: ({ logins, loginsRefused }) => ({ ok: logins, refused: loginsRefused }),
  },
  {
    name: 'p11kms_token_sessions_discarded_total',
    help: 'Sessions that were given up because of an error.',
    read: ({ sessionsDiscarded }) => ({ '': sessionsDiscarded }),
  },
  {
    name: 'p11kms_token_session_misuses_total',
    help: 'Answers that only a mistake of p11kms or of the library brings about: report them.',
    read: ({ sessionMisuses }) => ({ '': sessionMisuses }),
  },
]

const BREAKER: Labelled = {
  name: 'p11kms_token_breaker_state',
  help: 'State of the breaker before the token, 1 for the one that it is in.',
  label: 'state',
  read: ({ breaker }) =>
    Object.fromEntries(BREAKER_STATES.map((state) => [state, state === breaker ? 1 : 0])),
}

/** One connection, as far as metrics go. */
export interface MeasuredMember {
  readonly token: string
  readonly member: 'primary' | 'replica'
  readonly status: TokenGauges
  /** Of a replica: key versions by what is known of their copies, and calls answered. */
  readonly copies?: Readonly<Record<string, number>>
  readonly served?: number
}

/** Shows the state of every token's connections on `/metrics`, read when it is asked for. */
export function addTokenMetrics(registry: Registry, members: () => readonly MeasuredMember[]): void {
  for (const [name, help, read] of GAUGES) {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['token', 'member'] as const,
      registers: [],
      collect() {
        for (const { token, member, status } of members()) this.set({ token, member }, read(status))
      },
    })
    registry.registerMetric(gauge)
  }
  for (const counter of COUNTERS) registry.registerMetric(labelledMetric(counter, members, Counter))
  registry.registerMetric(labelledMetric(BREAKER, members, Gauge))
  registry.registerMetric(copiesGauge(members))
  registry.registerMetric(servedGauge(members))
}

function labelledMetric(
  { name, help, label, read }: Labelled,
  members: () => readonly MeasuredMember[],
  Metric: typeof Counter | typeof Gauge,
) {
  const labelNames = ['token', 'member', ...(label ? [label] : [])]
  return new Metric({
    name,
    help,
    labelNames,
    registers: [],
    collect(this: Counter | Gauge) {
      // The counts are kept by the connection; here they are shown.
      this.reset()
      for (const { token, member, status } of members()) {
        for (const [value, count] of Object.entries(read(status))) {
          this.inc({ token, member, ...(label && { [label]: value }) }, count)
        }
      }
    },
  })
}

function copiesGauge(members: () => readonly MeasuredMember[]) {
  return new Gauge({
    name: 'p11kms_replica_versions',
    help: 'Key versions of a token with a replica, by what is known of their copies: proven, unproven, refused.',
    labelNames: ['token', 'state'] as const,
    registers: [],
    collect() {
      for (const { token, copies = {} } of members())
        for (const [state, count] of Object.entries(copies)) this.set({ token, state }, count)
    },
  })
}

function servedGauge(members: () => readonly MeasuredMember[]) {
  return new Gauge({
    name: 'p11kms_replica_calls',
    help: 'Calls that a replica answered since the start, because its primary was away.',
    labelNames: ['token'] as const,
    registers: [],
    collect() {
      for (const { token, served } of members()) if (served !== undefined) this.set({ token }, served)
    },
  })
}
