import { type AddressInfo, connect, type Socket } from 'node:net'
import pino from 'pino'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Facade } from '../../src/http/facade.ts'
import { DEFAULT_SERVER_LIMITS } from '../../src/http/limits.ts'
import { buildServer } from '../../src/http/server.ts'
import { SYSTEM_CLOCK } from '../../src/lib/clock.ts'

/** More than the buffers of both ends of a connection take. */
const MORE_THAN_BUFFERS = Buffer.alloc(32 * 1_048_576)
const REQUEST = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n'
const LIMITS = { ...DEFAULT_SERVER_LIMITS, requestTimeoutMs: 300, answerTimeoutMs: 200 }

const toEnd: (() => unknown)[] = []
afterEach(async () => {
  for (const end of toEnd.splice(0).toReversed()) await end()
})

/** A server whose only façade gives `answer` to everything, and a connection to it that reads nothing by itself. */
async function serve(answer: () => Promise<Buffer>): Promise<{
  readonly client: Socket
  readonly connections: () => Promise<number>
}> {
  const handle = async () => ({ status: 200, headers: {}, body: await answer() })
  const answerFault = () => ({ status: 500, headers: {}, body: '' })
  const facade: Facade = { name: 'stub', methods: ['POST'], claims: () => true, handle, answerFault }
  const server = buildServer({
    facades: [facade],
    logger: pino({ level: 'silent' }),
    clock: SYSTEM_CLOCK,
    limits: LIMITS,
    health: { ready: async () => ({ ready: true, degraded: false, components: {} }) },
    metricsRegistry: new Registry(),
  })
  toEnd.push(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const client = connect((server.server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => undefined)
  toEnd.push(() => client.destroy())
  await new Promise((resolve) => client.once('connect', resolve))
  const connections = () =>
    new Promise<number>((resolve) => server.server.getConnections((_error, count) => resolve(count)))
  return { client, connections }
}

/** Reads until all of `count` answers have come. */
async function readAnswers(client: Socket, count: number): Promise<string> {
  let text = ''
  for await (const chunk of client) {
    text += chunk
    if (text.split('HTTP/1.1 200').length > count) return text
  }
  return text
}

const soon = { timeout: 3_000, interval: 20 }

describe('a connection', () => {
  it('whose client never reads the answer is closed', async () => {
    const { client, connections } = await serve(async () => MORE_THAN_BUFFERS)
    client.write(REQUEST)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await connections()).toBe(1)
    await vi.waitFor(async () => expect(await connections()).toBe(0), soon)
  })

  it('whose client reads slowly is kept', async () => {
    const { client } = await serve(async () => MORE_THAN_BUFFERS)
    client.write(REQUEST)
    let bytes = 0
    for await (const chunk of client) {
      bytes += chunk.length
      if (bytes >= MORE_THAN_BUFFERS.length) break
      if (bytes < 2_097_152) await new Promise((resolve) => setTimeout(resolve, 30))
    }
    expect(bytes).toBeGreaterThanOrEqual(MORE_THAN_BUFFERS.length)
  })

  it('whose request takes all of its time is kept', async () => {
    const { client } = await serve(async () => {
      await new Promise((resolve) => setTimeout(resolve, LIMITS.requestTimeoutMs))
      return Buffer.from('done')
    })
    client.write(REQUEST)
    expect(await readAnswers(client, 1)).toContain('done')
  })

  it('may send four requests before it reads', async () => {
    const { client } = await serve(async () => Buffer.from('done'))
    for (let round = 0; round < 3; round += 1) client.write(REQUEST)
    client.write(REQUEST)
    expect(await readAnswers(client, 4)).toContain('done')
  })

  it('that sends more before it reads is closed, and no more than four are begun', async () => {
    const { promise: gate, resolve: release } = Promise.withResolvers<void>()
    let begun = 0
    const { client, connections } = await serve(async () => {
      begun += 1
      await gate
      return Buffer.alloc(0)
    })
    client.write(REQUEST.repeat(1_000))
    await vi.waitFor(async () => expect(await connections()).toBe(0), soon)
    expect(begun).toBe(4)
    release()
  })

  it('may send as many requests as it likes in turn', async () => {
    const { client, connections } = await serve(async () => Buffer.from('done'))
    for (let turn = 0; turn < 20; turn += 1) {
      const answered = new Promise((resolve) => client.once('data', resolve))
      client.write(REQUEST)
      await answered
    }
    expect(await connections()).toBe(1)
  })
})
