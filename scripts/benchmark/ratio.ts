import { availableParallelism } from 'node:os'
import { closedLoop, rawToken } from './children.ts'
import { type BenchGateway, cpuSeconds, rssMib, startGateway } from './gateway.ts'
import { type Findings, median } from './numbers.ts'

const CONNECTIONS = 16
/** V8 is still compiling the hot path after five seconds of load. */
const WARM_UP_SECONDS = 10

interface Round {
  readonly ratio: number
  readonly perSecond: number
  readonly rawPerSecond: number
  readonly cpuMicros: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly rssMib: number
  readonly failed: number
}

/**
 * The gateway against the raw token, in turn, medians over the rounds.
 *
 * @param workers - Worker processes under a supervisor; 0 for one process alone.
 */
export async function ratio(rounds: number, seconds: number, workers: number): Promise<Findings> {
  const gateway = await startGateway({ workers })
  try {
    await measure(gateway, WARM_UP_SECONDS)
    const all: Round[] = []
    for (let i = 0; i < rounds; i += 1) all.push(await measure(gateway, seconds))
    return findings(all, workers === 0 ? 'one process' : `${workers} workers`)
  } finally {
    await gateway.stop()
  }
}

async function measure(gateway: BenchGateway, seconds: number): Promise<Round> {
  const rawPerSecond = await rawToken(gateway, 1, seconds)
  const before = cpuSeconds(gateway.pid)
  const load = await closedLoop(gateway, CONNECTIONS, seconds)
  const cpuMicros = ((cpuSeconds(gateway.pid) - before) * 1e6) / (load.ok + load.failed)
  return {
    ...load,
    rawPerSecond,
    ratio: load.perSecond / rawPerSecond,
    cpuMicros,
    rssMib: rssMib(gateway.pid),
  }
}

function findings(rounds: readonly Round[], what: string): Findings {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const ratios = rounds.map((round) => round.ratio)
  const figures = {
    rounds: rounds.length,
    connections: CONNECTIONS,
    cores: availableParallelism(),
    ratio: of((round) => round.ratio),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    gatewayPerSecond: of((round) => round.perSecond),
    rawPerSecond: of((round) => round.rawPerSecond),
    cpuMicrosPerRequest: of((round) => round.cpuMicros),
    p50Ms: of((round) => round.p50Ms),
    p99Ms: of((round) => round.p99Ms),
    rssMib: of((round) => round.rssMib),
    failed: rounds.reduce((sum, round) => sum + round.failed, 0),
  }
  const n = (value: number, digits = 0) => value.toFixed(digits)
  const spread = `(min ${n(figures.ratioMin, 3)}, max ${n(figures.ratioMax, 3)}, median of ${rounds.length} rounds)`
  return {
    title: `GenerateDataKey, ${what}, ${CONNECTIONS} connections, ${figures.cores} cores shared with the load generator`,
    figures,
    lines: [
      ['ratio to the raw token', `${n(figures.ratio, 3)}   ${spread}`],
      ['gateway', `${n(figures.gatewayPerSecond)} requests/s`],
      ['raw token, one session', `${n(figures.rawPerSecond)} operations/s`],
      ['CPU per request', `${n(figures.cpuMicrosPerRequest)} µs of the gateway's processes`],
      ['latency', `p50 ${n(figures.p50Ms, 2)} ms, p99 ${n(figures.p99Ms, 2)} ms`],
      ['memory (RSS)', `${n(figures.rssMib)} MiB`],
      ['failed requests', n(figures.failed)],
    ],
    failures: figures.failed > 0 ? [`${figures.failed} requests failed`] : [],
  }
}
