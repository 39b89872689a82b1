import { setTimeout as delay } from 'node:timers/promises'
import { openLoop } from './children.ts'
import { type BenchGateway, startGateway } from './gateway.ts'
import type { Findings } from './numbers.ts'

const HANG_SECONDS = 5
const PER_SECOND = 200
const DELAY_P99_MS_MAX = 10
const LAG = 'nodejs_eventloop_lag_p99_seconds'
/** The histogram behind it holds the time between two samples, so an event loop that is never late shows this. */
const SAMPLING_MS = 10

/** The token stands still for five seconds under load: does the event loop? */
export async function hang(): Promise<Findings> {
  const gateway = await startGateway({ lanes: 2, faults: '' })
  try {
    await openLoop(gateway, PER_SECOND, 5)
    // A scrape begins a new window of the measurement.
    const usualMs = await delayP99Ms(gateway)
    gateway.setFaults('hang C_Encrypt\nhang C_EncryptInit\n')
    const loading = openLoop(gateway, PER_SECOND, HANG_SECONDS)
    await delay(HANG_SECONDS * 1_000)
    const p99Ms = await delayP99Ms(gateway)
    gateway.setFaults('')
    const during = await loading
    const after = await openLoop(gateway, PER_SECOND, 3)
    return {
      title: `The token hangs for ${HANG_SECONDS} s under ${PER_SECOND} requests/s`,
      figures: {
        eventLoopDelayP99Ms: p99Ms,
        usualP99Ms: usualMs,
        okDuring: during.ok,
        okAfter: after.ok,
        sentAfter: after.sent,
      },
      lines: [
        [
          'event loop delay',
          `p99 ${p99Ms.toFixed(1)} ms   (under ${DELAY_P99_MS_MAX} ms; ${usualMs.toFixed(1)} ms before)`,
        ],
        [
          'answers to those',
          `${during.ok} ok (p50 ${during.p50Ms.toFixed(0)} ms), ${JSON.stringify(during.faults)}`,
        ],
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

/** How late the event loop was since it was last asked, beyond the time between two samples. */
async function delayP99Ms(gateway: BenchGateway): Promise<number> {
  return ((await gateway.metrics()).get(LAG) ?? Number.NaN) * 1_000 - SAMPLING_MS
}
