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

const OK_STATUS = Buffer.from('HTTP/1.1 200')
const CIPHERTEXT_BLOB = Buffer.from('"CiphertextBlob"')
const CONTENT_LENGTH = Buffer.from('content-length: ')
const HEAD_END = Buffer.from('\r\n\r\n')

/** Length of a whole answer, by its head. */
function answerLength(chunk: Buffer): number {
  const at = chunk.indexOf(CONTENT_LENGTH) + CONTENT_LENGTH.length
  const length = Number(chunk.toString('latin1', at, chunk.indexOf(0x0d, at)))
  return chunk.indexOf(HEAD_END) + HEAD_END.length + length
}

const requests = signedRequests()
const latencies = new Float64Array(LATENCIES_MAX)
const count = { ok: 0, failed: 0, next: 0 }
const until = performance.now() + Number(seconds) * 1000

/** Sends the next request and waits for its whole answer, again and again until the time is over. */
function pump(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let expected = 0
    let received = 0
    let ok = false
    const send = () => {
      if (performance.now() >= until) {
        socket.destroy()
        resolve()
        return
      }
      received = 0
      sentAt = performance.now()
      const request = requests[count.next++ % requests.length]
      if (request) socket.write(request)
    }
    socket.on('data', (chunk: Buffer) => {
      // The server writes head and body at once, so the first chunk holds the head. Bytes are counted, not decoded: the
      // generator shares the processors with what it measures.
      if (received === 0) {
        ok = chunk.indexOf(OK_STATUS) === 0 && chunk.includes(CIPHERTEXT_BLOB)
        expected = answerLength(chunk)
      }
      received += chunk.length
      if (received < expected) return
      const total = count.ok + count.failed
      if (total < LATENCIES_MAX) latencies[total] = performance.now() - sentAt
      count[ok ? 'ok' : 'failed'] += 1
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
