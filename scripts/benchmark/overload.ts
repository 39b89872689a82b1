import { closedLoop, type OpenLoop, openLoop } from './children.ts'
import { startGateway } from './gateway.ts'
import type { Findings } from './numbers.ts'

const LANES = 16
const CONNECTIONS = 4 * LANES
const CALL_MS = 5
const TIMES = 3
const GOODPUT_MIN = 0.9
/** What SDKs take for "try again". */
const RETRYABLE = new Set(['ThrottlingException', 'KMSInternalException', 'DependencyTimeoutException'])

/** Three times the load that saturates a token with latency: what still succeeds, and how the rest is refused. */
export async function overload(seconds: number): Promise<Findings> {
  const gateway = await startGateway({ lanes: LANES, faults: `latency * ${CALL_MS}ms\n` })
  try {
    await closedLoop(gateway, CONNECTIONS, 5)
    const { perSecond: peak } = await closedLoop(gateway, CONNECTIONS, seconds)
    const over = await openLoop(gateway, Math.round(TIMES * peak), Math.max(seconds, 10))
    const after = await closedLoop(gateway, CONNECTIONS, seconds)
    return findings(peak, over, after.perSecond)
  } finally {
    await gateway.stop()
  }
}

function findings(peak: number, over: OpenLoop, after: number): Findings {
  const goodput = over.okPerSecond / peak
  const others = Object.keys(over.faults).filter((fault) => !RETRYABLE.has(fault))
  return {
    title: `${TIMES} times the load that saturates (${CALL_MS} ms per call, ${LANES} lanes)`,
    figures: {
      peakPerSecond: peak,
      goodput,
      sent: over.sent,
      unsent: over.unsent,
      ok: over.ok,
      afterPerSecond: after,
    },
    lines: [
      ['peak', `${peak.toFixed(0)} requests/s`],
      ['sent', `${over.sent}, and ${over.unsent} that found no free connection`],
      ['goodput', `${(goodput * 100).toFixed(1)} % of the peak   (at least ${GOODPUT_MIN * 100} %)`],
      ['refused', JSON.stringify(over.faults)],
      ['latency of what succeeded', `p50 ${over.p50Ms.toFixed(0)} ms, p99 ${over.p99Ms.toFixed(0)} ms`],
      ['afterwards', `${after.toFixed(0)} requests/s`],
    ],
    failures: [
      ...(goodput < GOODPUT_MIN ? [`goodput is ${(goodput * 100).toFixed(1)} % of the peak`] : []),
      ...(others.length > 0 ? [`refused by ${others.join(', ')}, which is not retried`] : []),
    ],
  }
}
