import { Gauge, type Registry } from 'prom-client'

/** What is measured of a token's connection. */
export interface TokenGauges {
  readonly state: string
  readonly queueDepth: number
  readonly generation: number
  readonly lanesLost: number
  readonly lanesHung: number
}

const GAUGES: readonly (readonly [name: string, help: string, read: (status: TokenGauges) => number])[] = [
  ['p11kms_token_up', 'Whether the token is connected.', ({ state }) => (state === 'up' ? 1 : 0)],
  ['p11kms_token_queue_depth', 'Calls that wait for the token or run in it.', ({ queueDepth }) => queueDepth],
  ['p11kms_token_connects', 'Times that the token was connected.', ({ generation }) => generation],
  ['p11kms_token_lanes_lost', 'Lanes that were given up since the start.', ({ lanesLost }) => lanesLost],
  [
    'p11kms_token_lanes_hung',
    'Lanes given up whose thread is still in the library.',
    ({ lanesHung }) => lanesHung,
  ],
]

/** One connection, as far as metrics go. */
export interface MeasuredMember {
  readonly token: string
  readonly member: 'primary' | 'replica'
  readonly status: TokenGauges
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
}
