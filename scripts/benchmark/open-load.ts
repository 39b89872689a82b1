/**
 * `node scripts/benchmark/open-load.ts PORT SECONDS PER_SECOND`: GenerateDataKey at a fixed rate, however the server answers, each
 * request on a connection of its own while it waits. Prints what became of them; ends by itself.
 */

import type { OpenLoop } from './children.ts'
import { Connection, faultOf, signedRequest } from './client.ts'
import { percentile } from './numbers.ts'

const [port = '0', seconds = '1', perSecond = '100'] = process.argv.slice(2)
const CONNECTIONS_MAX = 3_500
const SIGNED_REQUESTS = 512
const TICK_MS = 5

const requests = Array.from({ length: SIGNED_REQUESTS }, (_, i) =>
  signedRequest(port, 'GenerateDataKey', {
    KeyId: 'alias/demo',
    KeySpec: 'AES_256',
    EncryptionContext: { request: `${i}` },
  }),
)
const idle: Connection[] = []
const latencies: number[] = []
const faults: Record<string, number> = {}
const count = { sent: 0, unsent: 0, ok: 0, open: 0 }

async function one(request: Buffer): Promise<void> {
  let connection = idle.pop()
  if (!connection && count.open >= CONNECTIONS_MAX) {
    count.unsent += 1
    return
  }
  count.sent += 1
  try {
    if (!connection) {
      count.open += 1
      connection = await Connection.open(port)
    }
    const sentAt = performance.now()
    const answer = await connection.exchange(request)
    if (answer.status === 200) {
      count.ok += 1
      latencies.push(performance.now() - sentAt)
    } else tally(faultOf(answer))
    idle.push(connection)
  } catch (error) {
    count.open -= 1
    connection?.close()
    tally(error instanceof Error ? error.message : String(error))
  }
}

function tally(fault: string): void {
  faults[fault] = (faults[fault] ?? 0) + 1
}

const startedAt = performance.now()
const pending = new Set<Promise<void>>()
let due = 0
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const elapsed = (performance.now() - startedAt) / 1_000
    const target = Math.min(elapsed, Number(seconds)) * Number(perSecond)
    for (; due < target; due += 1) {
      const exchange = one(requests[due % requests.length] ?? Buffer.alloc(0))
      pending.add(exchange)
      void exchange.finally(() => pending.delete(exchange))
    }
    if (elapsed < Number(seconds)) return
    clearInterval(timer)
    resolve()
  }, TICK_MS)
})
await Promise.all(pending)
const elapsed = (performance.now() - startedAt) / 1_000
for (const connection of idle) connection.close()
const result: OpenLoop = {
  sent: count.sent,
  unsent: count.unsent,
  ok: count.ok,
  okPerSecond: count.ok / elapsed,
  faults,
  p50Ms: percentile(latencies, 0.5),
  p99Ms: percentile(latencies, 0.99),
}
process.stdout.write(`${JSON.stringify(result)}\n`)
