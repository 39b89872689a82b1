import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { ReadyReport } from '../../src/http/health.ts'
import { signRequest } from '../support/sign.ts'
import {
  ALICE_KEY,
  type AwsFixture,
  awsFixture,
  FACADE_TIMEOUT_MS,
  type FixtureParts,
} from './aws-fixture.ts'

const open: AwsFixture[] = []
function newFixture(parts?: FixtureParts): AwsFixture {
  const fixture = awsFixture(parts)
  open.push(fixture)
  return fixture
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((fixture) => fixture.server.close()))
})

async function listen({ server }: AwsFixture): Promise<number> {
  await server.listen({ host: '127.0.0.1', port: 0 })
  return (server.server.address() as AddressInfo).port
}

/** A signed `GenerateRandom` as bytes. */
function signedBytes(): string {
  const body = '{"NumberOfBytes":8}'
  const headers = signRequest({
    credential: ALICE_KEY,
    headers: { host: 'x', 'x-amz-target': 'TrentService.GenerateRandom', 'content-length': `${body.length}` },
    body,
  })
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST / HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

/** Sends bytes on a connection of its own and gives all that comes back until it is closed. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

describe('paths and methods', () => {
  it.each([
    ['GET', '/nothing', 404, undefined],
    ['POST', '/service/TrentService/operation/Encrypt', 404, undefined],
    ['GET', '/', 405, 'POST'],
    ['PUT', '/', 405, 'POST, GET'],
    ['POST', '/healthz', 405, 'GET'],
    ['DELETE', '/metrics', 405, 'GET'],
  ] as const)('%s %s is answered with %i', async (method, url, status, allow) => {
    const answer = await newFixture().server.inject({ method, url })
    expect(answer.statusCode).toBe(status)
    expect(answer.headers.allow).toBe(allow)
    expect(answer.json()).toEqual({ message: expect.any(String) })
  })
})

describe('health', () => {
  const down: ReadyReport = {
    ready: false,
    degraded: true,
    components: { store: { ok: true }, 'token:main': { ok: false, reason: 'absent', hint: 'Start it.' } },
  }

  it('says that the process lives', async () => {
    const answer = await newFixture().server.inject('/healthz')
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }])
  })

  it('says what is ready and what is not', async () => {
    const up = await newFixture().server.inject('/readyz')
    expect([up.statusCode, up.json()]).toEqual([
      200,
      { ready: true, degraded: false, components: { store: { ok: true } } },
    ])
    const answer = await newFixture({ health: { ready: async () => down } }).server.inject('/readyz')
    expect([answer.statusCode, answer.json()]).toEqual([503, down])
  })

  it('tries the components once for many callers, and anew after a second', async () => {
    let tries = 0
    const ready = async () => {
      tries += 1
      await new Promise((resolve) => setImmediate(resolve))
      return down
    }
    const { server, clock } = newFixture({ health: { ready } })
    await Promise.all(Array.from({ length: 20 }, () => server.inject('/readyz')))
    await server.inject('/readyz')
    expect(tries).toBe(1)
    clock.advance(1_001)
    await server.inject('/readyz')
    expect(tries).toBe(2)
  })

  it('is not ready when the check itself fails, and tells nobody why', async () => {
    const { server, lines } = newFixture({
      health: { ready: () => Promise.reject(new Error('inner detail')) },
    })
    const answer = await server.inject('/readyz')
    expect(answer.statusCode).toBe(503)
    expect(answer.payload).not.toContain('inner detail')
    expect(lines.join('')).toContain('inner detail')
  })
})

describe('metrics', () => {
  it('count requests by operation and outcome', async () => {
    const fixture = newFixture()
    await fixture.request('GenerateRandom', { NumberOfBytes: 8 })
    await fixture.request('GenerateRandom', {})
    const answer = await fixture.server.inject('/metrics')
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=/)
    expect(answer.payload).toContain(
      'p11kms_requests_total{api="aws",operation="GenerateRandom",outcome="ok"} 1',
    )
    expect(answer.payload).toContain('outcome="ValidationException"} 1')
    expect(answer.payload).toContain(
      'p11kms_request_duration_seconds_count{api="aws",operation="GenerateRandom"} 2',
    )
    expect(answer.payload).toContain('process_cpu_seconds_total')
  })
})

it('metrics are put together once for many callers, and anew after a second', async () => {
  const { server, registry, clock } = newFixture()
  let times = 0
  const metrics = registry.metrics.bind(registry)
  registry.metrics = () => {
    times += 1
    return metrics()
  }
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.inject('/metrics')))
  await server.inject('/metrics')
  expect(new Set(answers.map((answer) => answer.payload)).size).toBe(1)
  expect(times).toBe(1)
  clock.advance(1_001)
  await server.inject('/metrics')
  expect(times).toBe(2)
})

describe('the log', () => {
  it('has one line per request', async () => {
    const fixture = newFixture()
    const { keyId } = await fixture.newKey()
    await fixture.request('GenerateDataKey', { KeyId: keyId, KeySpec: 'AES_256' })
    expect(fixture.lines).toHaveLength(1)
    expect(JSON.parse(fixture.lines[0] ?? '')).toMatchObject({
      level: 30,
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      api: 'aws',
      operation: 'GenerateDataKey',
      accessKeyId: ALICE_KEY.accessKeyId,
      accountId: '111122223333',
      region: 'us-east-1',
      keyId,
      outcome: 'ok',
      status: 200,
      totalMs: expect.any(Number),
      queueMs: expect.any(Number),
      tokenMs: expect.any(Number),
      remoteAddress: '127.0.0.1',
    })
  })
})

describe('a connection', () => {
  it.each([
    ['no HTTP', '\x16\x03\x01\x02\x00\x01\r\n\r\n', 400],
    ['a header too many', `POST / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`, 431],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx', 400],
    ['no host', 'POST / HTTP/1.1\r\n\r\n', 400],
    ['a malformed target', 'GET /% HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
  ])('with %s is answered and closed, and the process goes on', async (_what, bytes, status) => {
    const fixture = newFixture()
    const port = await listen(fixture)
    expect(await exchange(port, bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect((await fixture.server.inject('/healthz')).statusCode).toBe(200)
  })

  it('that is too many is closed', async () => {
    const fixture = newFixture({ limits: { connectionsMax: 1 } })
    const port = await listen(fixture)
    const first = connect(port, '127.0.0.1')
    await new Promise((resolve) => first.once('connect', resolve))
    expect(await exchange(port, '')).toBe('')
    first.destroy()
  })

  it('may send its body in chunks', async () => {
    const [head = '', body = ''] = signedBytes().split('\r\n\r\n')
    const chunked = head.replace(/content-length: \d+/, 'transfer-encoding: chunked')
    const fixture = newFixture()
    const port = await listen(fixture)
    const bytes = `${chunked}\r\nconnection: close\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    // Its length was signed, and is not there: whatever else, the bytes of the body were read.
    expect(await exchange(port, bytes)).toContain('"__type":"InvalidSignatureException"')
  })

  it('that names who asks twice is refused, though Node would take the first', async () => {
    const port = await listen(newFixture())
    const bytes = signedBytes().replace('\r\n\r\n', '\r\nconnection: close\r\nAuthorization: x\r\n\r\n')
    const answer = await exchange(port, bytes)
    expect(answer).toContain('IncompleteSignatureException')
    expect(answer).toContain("The header 'authorization' is there more than once.")
  })

  it('that sends its body late has less time for its operation', async () => {
    const fixture = newFixture()
    let leftMs = 0
    fixture.provider.generateRandom = async (_token, _length, { deadlineAt }) => {
      leftMs = deadlineAt - Date.now()
      return Buffer.alloc(8)
    }
    const port = await listen(fixture)
    const bytes = signedBytes().replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n')
    const socket = connect(port, '127.0.0.1')
    socket.write(bytes.slice(0, -5))
    await new Promise((resolve) => setTimeout(resolve, 400))
    socket.write(bytes.slice(-5))
    expect(await text(socket)).toMatch(/^HTTP\/1.1 200 /)
    expect(leftMs).toBeLessThan(FACADE_TIMEOUT_MS - 350)
    expect(leftMs).toBeGreaterThan(0)
  })

  it('that sends more than the limit is told so in the protocol’s words and closed', async () => {
    const port = await listen(newFixture())
    const body = 'x'.repeat(100_000)
    const head = `POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: y\r\ncontent-length: ${body.length}\r\n\r\n`
    const answer = await exchange(port, head + body)
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    expect(answer).toContain('RequestEntityTooLargeException')
  })
})

describe('close()', () => {
  it('lets a request under way finish, closes idle connections at once, and refuses new ones', async () => {
    const fixture = newFixture()
    const port = await listen(fixture)
    const { promise: gate, resolve: release } = Promise.withResolvers<Buffer>()
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>()
    fixture.provider.generateRandom = () => {
      enter()
      return gate
    }
    const idle = exchange(port, '')
    const busy = exchange(port, signedBytes())
    await entered
    const closed = fixture.server.close()
    expect(await idle).toBe('')
    await expect(exchange(port, signedBytes())).rejects.toThrow()
    release(Buffer.alloc(8))
    const answer = await busy
    expect(answer).toMatch(/^HTTP\/1.1 200 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    await closed
  })
})
