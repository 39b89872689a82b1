/**
 * `node scripts/benchmark/load.ts PORT SECONDS CONNECTIONS`: GenerateDataKey requests over kept-alive connections, one
 * in flight on each, signed beforehand so that the generator leaves the processor to the server. Credentials come from the
 * environment. Prints counts and latencies; ends by itself.
 */
import { connect, type Socket } from 'node:net'
import { signRequest } from '../../test/support/sign.ts'

const [port = '0', seconds = '1', connections = '16'] = process.argv.slice(2)
const SIGNED_REQUESTS = 512
const LATENCIES_MAX = 5_000_000

function signedRequests(): Buffer[] {
  const credential = {
    accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
  }
  return Array.from({ length: SIGNED_REQUESTS }, (_, i) => {
    const body = JSON.stringify({
      KeyId: 'alias/demo',
      KeySpec: 'AES_256',
      EncryptionContext: { request: `${i}` },
    })
    const headers = signRequest({
      credential,
      body,
      headers: {
        host: `127.0.0.1:${port}`,
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': 'TrentService.GenerateDataKey',
      },
    })
    const lines = Object.entries({ ...headers, 'content-length': String(body.length) })
    return Buffer.from(`POST / HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`)
  })
}

const requests = signedRequests()
const latencies = new Float64Array(LATENCIES_MAX)
const count = { ok: 0, failed: 0, next: 0 }
const until = performance.now() + Number(seconds) * 1000

/** Sends the next request and waits for its whole answer, again and again until the time is over. */
function pump(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let pending = ''
    const send = () => {
      if (performance.now() >= until) {
        socket.destroy()
        resolve()
        return
      }
      sentAt = performance.now()
      const request = requests[count.next++ % requests.length]
      if (request) socket.write(request)
    }
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString('latin1')
      const head = pending.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(pending.slice(0, head))?.[1])
      if (pending.length < head + 4 + length) return
      const ok = pending.startsWith('HTTP/1.1 200') && pending.includes('"CiphertextBlob"')
      const total = count.ok + count.failed
      if (total < LATENCIES_MAX) latencies[total] = performance.now() - sentAt
      count[ok ? 'ok' : 'failed'] += 1
      pending = ''
      send()
    })
    socket.on('error', reject)
    socket.on('connect', send)
  })
}

const started = performance.now()
await Promise.all(
  Array.from({ length: Number(connections) }, () =>
    pump(connect({ port: Number(port), host: '127.0.0.1', noDelay: true })),
  ),
)
const elapsed = (performance.now() - started) / 1000
const sorted = latencies.subarray(0, Math.min(count.ok + count.failed, LATENCIES_MAX)).toSorted()
const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
process.stdout.write(
  `${JSON.stringify({ ok: count.ok, failed: count.failed, perSecond: count.ok / elapsed, p50Ms: at(0.5), p99Ms: at(0.99) })}\n`,
)
