import { setTimeout as delay } from 'node:timers/promises'
import { openLoop } from './children.ts'
import { startGateway } from './gateway.ts'
import type { Findings } from './numbers.ts'

const HANG_SECONDS = 5
const PER_SECOND = 200
const DELAY_P99_MS_MAX = 10
const LAG = 'nodejs_eventloop_lag_p99_seconds'

/** The token stands still for five seconds under load: does the event loop? */
export async function hang(): Promise<Findings> {
  const gateway = await startGateway({ lanes: 2, faults: '' })
  try {
    await openLoop(gateway, PER_SECOND, 5)
    // A scrape begins a new window of the measurement.
    await gateway.metrics()
    gateway.setFaults('hang C_Encrypt\nhang C_EncryptInit\n')
    const loading = openLoop(gateway, PER_SECOND, HANG_SECONDS)
    await delay(HANG_SECONDS * 1_000)
    const p99Ms = ((await gateway.metrics()).get(LAG) ?? Number.NaN) * 1_000
    gateway.setFaults('')
    const during = await loading
    const after = await openLoop(gateway, PER_SECOND, 3)
    return {
      title: `The token hangs for ${HANG_SECONDS} s under ${PER_SECOND} requests/s`,
      figures: { eventLoopDelayP99Ms: p99Ms, okDuring: during.ok, okAfter: after.ok, sentAfter: after.sent },
      lines: [
        ['event loop delay', `p99 ${p99Ms.toFixed(1)} ms   (under ${DELAY_P99_MS_MAX} ms)`],
        ['answers to those', `${during.ok} ok, ${JSON.stringify(during.faults)}`],
        ['after the hang', `${after.ok} of ${after.sent} ok`],
      ],
      failures: [
        ...(p99Ms < DELAY_P99_MS_MAX ? [] : [`the event loop was late by ${p99Ms.toFixed(1)} ms (p99)`]),
        ...(after.ok === after.sent ? [] : [`${after.sent - after.ok} requests failed after the hang`]),
      ],
    }
  } finally {
    await gateway.stop()
  }
}
