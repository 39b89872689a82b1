import { closedLoop, rawToken } from './children.ts'
import { startGateway } from './gateway.ts'
import { type Findings, median } from './numbers.ts'

const LANES = 16
/** Each lane has the next request before it asks for it. */
const CONNECTIONS = 4 * LANES
const CALL_MS = 5
const WARM_UP_SECONDS = 5
const SHARE_MIN = 0.95

/** A token that takes 5 ms for each call, as one across a network does: 16 lanes against 16 sessions. */
export async function latency(rounds: number, seconds: number): Promise<Findings> {
  const gateway = await startGateway({ lanes: LANES, faults: `latency * ${CALL_MS}ms\n` })
  try {
    await closedLoop(gateway, CONNECTIONS, WARM_UP_SECONDS)
    const all = []
    for (let i = 0; i < rounds; i += 1) {
      const raw = await rawToken(gateway, LANES, seconds)
      const load = await closedLoop(gateway, CONNECTIONS, seconds)
      all.push({ ...load, raw, share: load.perSecond / raw })
    }
    const share = median(all.map((round) => round.share))
    const perSecond = median(all.map((round) => round.perSecond))
    const raw = median(all.map((round) => round.raw))
    const failed = all.reduce((sum, round) => sum + round.failed, 0)
    return {
      title: `GenerateDataKey on a token with ${CALL_MS} ms per call, ${LANES} lanes, ${CONNECTIONS} connections`,
      figures: { share, gatewayPerSecond: perSecond, rawPerSecond: raw, failed },
      lines: [
        [`share of ${LANES} sessions`, `${(share * 100).toFixed(1)} %   (at least ${SHARE_MIN * 100} %)`],
        ['gateway', `${perSecond.toFixed(0)} requests/s`],
        [`raw token, ${LANES} sessions`, `${raw.toFixed(0)} operations/s`],
        ['failed requests', String(failed)],
      ],
      failures: [
        ...(share < SHARE_MIN ? [`${(share * 100).toFixed(1)} % of what the sessions can do`] : []),
        ...(failed > 0 ? [`${failed} requests failed`] : []),
      ],
    }
  } finally {
    await gateway.stop()
  }
}
