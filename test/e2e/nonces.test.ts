import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { isAlive, preparedHome, removeHome, type Service, startService } from '../support/gateway.ts'
import { queryOf, signV1, signV3 } from '../support/sign-alibaba.ts'
import { eventually } from '../support/softhsm.ts'

let home: string
let service: Service

beforeAll(async () => {
  home = await preparedHome()
})
afterAll(() => removeHome(home))
afterEach(() => service.stop('SIGKILL'))

interface Sent {
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
}

const credential = () => ({
  accessKeyId: service.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
  accessKeySecret: service.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
})

/** One request, signed once: whoever reads it on its way can send it again. */
const SIGNED: Readonly<Record<string, () => Sent>> = {
  V1: () => ({
    query: queryOf(signV1(credential(), 'POST', { Action: 'ListKeys', PageSize: '1' }, Date.now())),
    headers: {},
  }),
  V3: () => {
    const headers = { 'x-acs-signature-nonce': randomUUID() }
    return { query: '', headers: signV3(credential(), { action: 'ListKeys', at: Date.now(), headers }) }
  },
}

/** What a request is answered with on a connection of its own: connections go to the workers in turn. */
function send({ query, headers }: Sent): Promise<string> {
  const url = `${service.endpoint}/${query && `?${query}`}`
  const agent = new Agent({ keepAlive: false })
  return new Promise((resolve, reject) => {
    const sending = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text).Code ?? `${response.statusCode}`))
    })
    sending.once('error', reject).end()
  })
}

/** Which workers answered. */
const answering = () =>
  new Set(
    service
      .log()
      .flatMap(({ operation, outcome, worker }) =>
        operation === 'ListKeys' || outcome === 'SignatureNonceUsed' ? [worker] : [],
      ),
  )

it.each(Object.keys(SIGNED))('a request by %s is taken once by all workers together', async (version) => {
  service = await startService({ home, workers: 3 })
  const sign = SIGNED[version] ?? expect.fail(version)
  for (let round = 0; round < 5; round++) {
    const signed = sign()
    const answers = await Promise.all(Array.from({ length: 12 }, () => send(signed)))
    expect(answers.toSorted()).toStrictEqual(['200', ...Array(11).fill('SignatureNonceUsed')])
    // One after the other, each to the next worker.
    for (let i = 0; i < 3; i++) expect(await send(signed)).toBe('SignatureNonceUsed')
  }
  await eventually(() => answering().size === 3)
})

it.each([1, 2])('and not again by those that replace the %i workers that took it', async (workers) => {
  service = await startService({ home, workers })
  const signed = SIGNED['V1']?.() ?? expect.fail()
  expect(await send(signed)).toBe('200')
  for (const pid of service.workers().values()) {
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
  }
  await eventually(() => service.workers().size === workers, 20_000)
  for (let i = 0; i < 4; i++) expect(await send(signed)).toBe('SignatureNonceUsed')
})

it('a supervisor that does not answer has the request refused as retryable', async () => {
  service = await startService({ home, workers: 2 })
  // The connection is with its worker already.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = ({ query, headers }: Sent) =>
    new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const url = `${service.endpoint}/?${query}`
      request(url, { method: 'POST', agent, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode, text }))
      })
        .once('error', reject)
        .end()
    })
  const sign = SIGNED['V1'] ?? expect.fail()
  expect((await ask(sign())).status).toBe(200)
  service.process.kill('SIGSTOP')
  const refused = await ask(sign())
  service.process.kill('SIGCONT')
  expect(refused.status).toBe(503)
  expect(JSON.parse(refused.text)).toMatchObject({ Code: 'ServiceUnavailableTemporary' })
  expect((await ask(sign())).status).toBe(200)
  agent.destroy()
})
