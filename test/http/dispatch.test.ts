import pino from 'pino'
import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import type { Facade, FacadeRequest } from '../../src/http/facade.ts'
import { DEFAULT_SERVER_LIMITS } from '../../src/http/limits.ts'
import { buildServer } from '../../src/http/server.ts'
import { SYSTEM_CLOCK } from '../../src/lib/clock.ts'

/** Sends one body to a server whose only façade is `handle`. */
async function send(payload: string, handle: Facade['handle']) {
  const answerFault = () => ({ status: 500, headers: {}, body: 'fault' })
  const facade: Facade = { name: 'stub', methods: ['POST'], claims: () => true, handle, answerFault }
  const server = buildServer({
    facades: [facade],
    logger: pino({ level: 'silent' }),
    clock: SYSTEM_CLOCK,
    limits: DEFAULT_SERVER_LIMITS,
    health: { ready: async () => ({ ready: true, degraded: false, components: {} }) },
    metricsRegistry: new Registry(),
  })
  return server.inject({ method: 'POST', url: '/', payload })
}

it.each(['answers', 'throws'])(
  'a body is whole while a façade has it, and zeroed when it %s',
  async (end) => {
    let held: FacadeRequest | undefined
    let seen = ''
    const answer = await send('a secret of sixteen', async (request) => {
      await new Promise((resolve) => setImmediate(resolve))
      held = request
      seen = request.body.toString()
      if (end === 'throws') throw new Error('a fault of the façade')
      return { status: 200, headers: {}, body: 'fine' }
    })
    expect(seen).toBe('a secret of sixteen')
    expect(held?.body).toEqual(Buffer.alloc(seen.length))
    expect([answer.statusCode, answer.payload]).toEqual(end === 'throws' ? [500, 'fault'] : [200, 'fine'])
  },
)

it.each([
  ['ASCII', 'plain'],
  ['text beyond ASCII', '{"description":"Schlüssel für 東京 🔑"}'],
  ['text of latin1', 'é'],
])('an answer of %s is as long as it says', async (_what, body) => {
  const answer = await send('', async () => ({
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body,
  }))
  expect(answer.rawPayload).toEqual(Buffer.from(body, 'utf8'))
  expect(answer.headers['content-length']).toBe(`${Buffer.byteLength(body)}`)
})

it('gives a method that a façade does not take to the last one, although it claims the request', async () => {
  const facade = (name: string, methods: readonly string[]): Facade => ({
    name,
    methods,
    claims: () => true,
    handle: async () => ({ status: 200, headers: {}, body: name }),
    answerFault: () => ({ status: 500, headers: {}, body: 'fault' }),
  })
  const server = buildServer({
    facades: [facade('first', ['POST']), facade('last', ['GET', 'POST'])],
    logger: pino({ level: 'silent' }),
    clock: SYSTEM_CLOCK,
    limits: DEFAULT_SERVER_LIMITS,
    health: { ready: async () => ({ ready: true, degraded: false, components: {} }) },
    metricsRegistry: new Registry(),
  })
  expect((await server.inject({ method: 'POST', url: '/' })).payload).toBe('first')
  expect((await server.inject({ method: 'GET', url: '/' })).payload).toBe('last')
})
