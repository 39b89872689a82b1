import { readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateRandomCommand,
  type KMSClient,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  freePort,
  isAlive,
  preparedHome,
  removeHome,
  type Service,
  sdkClient,
  startService,
} from '../support/gateway.ts'
import { eventually } from '../support/softhsm.ts'

let home: string
const services: Service[] = []
const clients: KMSClient[] = []

beforeAll(async () => {
  home = await preparedHome()
})
afterAll(() => removeHome(home))
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await Promise.all(services.splice(0).map((service) => service.stop('SIGKILL')))
})

async function serve(workers: number, options: { readonly port?: number } = {}): Promise<Service> {
  const service = await startService({ home, workers, ...options })
  services.push(service)
  return service
}

/** A client on one connection of its own: connections go to the workers in turn. */
function onConnection(service: Service, maxAttempts = 1): KMSClient {
  const httpAgent = new Agent({ keepAlive: true, maxSockets: 1 })
  const client = sdkClient(service.env, { maxAttempts, requestHandler: { httpAgent } })
  clients.push(client)
  return client
}

const dataKey = (client: KMSClient, KeyId = 'alias/demo') =>
  client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))

const nameOf = (error: unknown) => (error instanceof Error ? error.name : String(error))

async function readyz(service: Service) {
  const response = await fetch(`${service.endpoint}/readyz`, { headers: { connection: 'close' } })
  return { status: response.status, body: (await response.json()) as ReadyBody }
}

interface ReadyBody {
  readonly ready: boolean
  readonly components: Readonly<Record<string, { readonly ok: boolean; readonly reason?: string }>>
}

/** Samples of a metric by worker, summed over the other labels. */
async function scrape(service: Service, name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${service.endpoint}/metrics`, { headers: { connection: 'close' } })).text()
  const byWorker = new Map<string, number>()
  for (const [, labels = '', value] of text.matchAll(new RegExp(`^${name}(\\{.*\\})? (\\S+)$`, 'gm'))) {
    const worker = /worker="(\d+)"/.exec(labels)?.[1] ?? ''
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + Number(value))
  }
  return byWorker
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0)

describe('workers that are killed under load', () => {
  it('cost no call of an SDK that retries as it does by default, and every line of the log is whole', async () => {
    const service = await serve(2)
    const kms = sdkClient(service.env)
    clients.push(kms)
    const failures: string[] = []
    let answered = 0
    const load = new AbortController()
    const pump = async (call: () => Promise<unknown>) => {
      while (!load.signal.aborted) {
        await call().then(
          () => (answered += 1),
          (error: unknown) => failures.push(String(error)),
        )
      }
    }
    const pumps = Array.from({ length: 8 }, () => pump(() => dataKey(kms)))
    const killed: number[] = []
    for (let round = 0; round < 8; round++) {
      await sleep(300)
      const worker = (round % 2) + 1
      await eventually(() => service.workers().size === 2, 20_000)
      const pid = service.workers().get(worker) ?? 0
      killed.push(pid)
      process.kill(pid, 'SIGSEGV')
      await eventually(() => !isAlive(pid))
    }
    await eventually(() => service.workers().size === 2, 20_000)
    load.abort()
    await Promise.all(pumps)
    expect(failures).toStrictEqual([])
    expect(new Set(killed).size).toBe(8)
    expect(answered).toBeGreaterThan(200)
    const ends = service.log().filter(({ msg }) => msg?.includes('another takes its place'))
    expect(ends.map(({ end }) => end)).toStrictEqual(Array(8).fill('SIGSEGV'))
    expect(await service.stop()).toBe(0)
    const requests = service.log().filter(({ operation }) => operation === 'GenerateDataKey')
    expect(new Set(requests.map(({ worker }) => worker))).toStrictEqual(new Set([1, 2]))
  })

  it('a connection that comes while there is none waits for the next one', async () => {
    const service = await serve(1)
    const pid = service.workers().get(1) ?? 0
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid))
    // A port that is closed meanwhile would use these attempts up in a fraction of the time that a start takes.
    expect((await dataKey(onConnection(service, 3))).Plaintext).toHaveLength(32)
    expect(sum((await scrape(service, 'p11kms_worker_restarts_total')).values())).toBe(1)
  })

  it('one that ends again and again is put off, which /readyz tells, and once no worker is left the door does', async () => {
    const service = await serve(2)
    const keepKilling = async (worker: number) => {
      for (let times = 0; times < 6; times++) {
        await eventually(() => service.workers().has(worker), 20_000)
        const pid = service.workers().get(worker) ?? 0
        process.kill(pid, 'SIGKILL')
        await eventually(() => !isAlive(pid))
      }
    }
    await keepKilling(2)
    const looping = /Worker 2 ends again and again, last by SIGKILL/
    await eventually(async () =>
      looping.test((await readyz(service)).body.components['workers']?.reason ?? ''),
    )
    const half = await readyz(service)
    if (half.body.components['workers']?.ok === false)
      expect([half.status, half.body.ready]).toStrictEqual([200, true])
    const delays = () => service.log().flatMap(({ delayMs = [] }) => delayMs)
    await eventually(() => delays().length === 6)
    expect(delays()).toStrictEqual([0, 0, 0, 0, 0, 500])
  })

  it('no worker at all is told to whoever waited in vain', async () => {
    const service = await serve(1)
    for (let times = 0; times < 10; times++) {
      await eventually(() => service.workers().has(1), 60_000)
      const pid = service.workers().get(1) ?? 0
      process.kill(pid, 'SIGKILL')
      await eventually(() => !isAlive(pid))
    }
    const { status, body } = await readyz(service)
    expect(status).toBe(503)
    expect(body.components['workers']?.reason).toMatch(/Worker 1 ends again and again/)
  })
})

describe('the end of a service with workers', () => {
  it.each(['supervisor', 'everybody'] as const)(
    'a signal to %s finishes the requests in flight and ends with 0',
    async (whom) => {
      const service = await serve(2)
      const outcomes: string[] = []
      const load = new AbortController()
      const pump = async (client: KMSClient) => {
        while (!load.signal.aborted) {
          const outcome = await client.send(new GenerateRandomCommand({ NumberOfBytes: 1024 })).then(
            () => 'answered',
            (error) => (error.code === 'ECONNREFUSED' ? 'refused' : `lost: ${error.name} ${error.message}`),
          )
          outcomes.push(outcome)
          if (outcome === 'refused') return
        }
      }
      const pumps = Array.from({ length: 8 }, () => pump(onConnection(service)))
      await eventually(() => outcomes.length > 30, 30_000)
      const pids = [...service.workers().values()]
      if (whom === 'everybody') for (const pid of pids) process.kill(pid, 'SIGINT')
      expect(await service.stop('SIGINT')).toBe(0)
      load.abort()
      await Promise.all(pumps)
      expect(pids.filter(isAlive)).toStrictEqual([])
      expect(outcomes.filter((outcome) => outcome === 'answered').length).toBeGreaterThan(10)
      // One that was written to a connection just as it was closed may be lost: SDKs retry it. None that was read may.
      expect(outcomes.filter((outcome) => outcome.startsWith('lost')).length).toBeLessThanOrEqual(8)
      expect(service.log().filter(({ msg }) => msg === 'stopped')).toHaveLength(3)
    },
  )

  it('a second signal ends everything at once', async () => {
    const service = await serve(2)
    const pids = [...service.workers().values()]
    for (const pid of pids) process.kill(pid, 'SIGSTOP')
    service.process.kill('SIGTERM')
    await eventually(() => service.output().includes('stopping; requests in flight'))
    for (const pid of pids) process.kill(pid, 'SIGCONT')
    service.process.kill('SIGTERM')
    const how = await service.exited
    expect(['SIGKILL', 0]).toContain(how)
    await eventually(() => !pids.some(isAlive))
  })

  it('a supervisor that is killed takes its workers along, and the store and the address are free', async () => {
    const port = await freePort()
    const service = await serve(2, { port })
    const pids = [...service.workers().values()]
    expect(await service.stop('SIGKILL')).toBe('SIGKILL')
    await eventually(() => !pids.some(isAlive))
    const next = await serve(1, { port })
    expect((await dataKey(onConnection(next))).Plaintext).toHaveLength(32)
  })

  it('a worker ends neither by SIGTERM nor by SIGINT of others', async () => {
    const service = await serve(1)
    const pid = service.workers().get(1) ?? 0
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(pid, signal)
    await sleep(300)
    expect((await dataKey(onConnection(service))).Plaintext).toHaveLength(32)
    expect(service.workers().get(1)).toBe(pid)
  })

  it('a store that cannot be served ends it with 78, told once', async () => {
    const broken = await preparedHome()
    writeFileSync(
      join(broken, 'store.sqlite'),
      'this is not a database, whatever its name says. '.repeat(100),
    )
    const started = startService({ home: broken, workers: 2 })
    await expect(started).rejects.toThrow(/ended \(78\)/)
    const told = await started.then(
      () => '',
      (error: unknown) => String(error),
    )
    expect(told.match(/is not an SQLite database/g)).toHaveLength(1)
    removeHome(broken)
  })
})

describe('workers on one store and one token', () => {
  it('a key made through one is used through the other at once, every time', async () => {
    const service = await serve(2)
    const [one, two] = [onConnection(service), onConnection(service)]
    for (let round = 0; round < 35; round++) {
      const [maker, user] = round % 2 ? [one, two] : [two, one]
      const create = () => maker.send(new CreateKeyCommand({}))
      const made = await Promise.all([create(), create()])
      const used = await Promise.all(made.map(({ KeyMetadata }) => dataKey(user, KeyMetadata?.KeyId)))
      expect(used.every(({ Plaintext }) => Plaintext?.length === 32)).toBe(true)
    }
    const requests = await scrape(service, 'p11kms_requests_total')
    expect(Math.min(...requests.values())).toBeGreaterThan(60)
    // One scrape shows all of them, whichever worker answers it.
    expect(sum(requests.values())).toBe(140)
    await sleep(1_100)
    expect(sum((await scrape(service, 'p11kms_requests_total')).values())).toBe(140)
  })

  it('a change that was acknowledged by one is seen by the other at the next call', async () => {
    const service = await serve(2)
    const [one, two] = [onConnection(service), onConnection(service)]
    const { KeyMetadata } = await one.send(new CreateKeyCommand({}))
    const KeyId = KeyMetadata?.KeyId ?? ''
    const input = { KeyId, Plaintext: Buffer.from('text') }
    for (let round = 0; round < 50; round++) {
      const [changer, user] = round % 2 ? [one, two] : [two, one]
      await user.send(new EncryptCommand(input))
      await changer.send(new DisableKeyCommand({ KeyId }))
      expect(await user.send(new EncryptCommand(input)).catch(nameOf)).toBe('DisabledException')
      await changer.send(new EnableKeyCommand({ KeyId }))
      await user.send(new EncryptCommand(input))
      const target = round % 2 ? KeyId : (service.env['P11KMS_KEY_ID'] ?? '')
      await changer.send(new UpdateAliasCommand({ AliasName: 'alias/demo', TargetKeyId: target }))
      expect((await dataKey(user)).KeyId).toContain(target)
    }
  })
})

describe('secrets of a service with workers', () => {
  it('a PIN from a descriptor reaches every worker and those that replace one, and no log', async () => {
    const config = join(home, 'config.yaml')
    const text = readFileSync(config, 'utf8')
    const pin = readFileSync(join(home, 'secrets/user-pin'), 'utf8')
    writeFileSync(config, text.replace('file: secrets/user-pin', 'fd: 5'))
    try {
      const service = await startService({ home, workers: 2, input: pin })
      services.push(service)
      for (const pid of service.workers().values()) {
        process.kill(pid, 'SIGKILL')
        await eventually(() => !isAlive(pid))
      }
      await eventually(() => service.workers().size === 2, 20_000)
      for (let i = 0; i < 2; i++) expect((await dataKey(onConnection(service))).Plaintext).toHaveLength(32)
      expect(service.output()).not.toContain(pin.trim())
    } finally {
      writeFileSync(config, text)
    }
  })

  it('a wrong PIN is given once, whatever the workers and however often they start, and a corrected one to all', async () => {
    const config = join(home, 'config.yaml')
    const text = readFileSync(config, 'utf8')
    const pinFile = join(home, 'secrets/wrong-pin')
    writeFileSync(pinFile, 'not-the-pin', { mode: 0o600 })
    writeFileSync(config, text.replace('secrets/user-pin', 'secrets/wrong-pin'))
    try {
      const service = await serve(3)
      const pid = service.workers().get(2) ?? 0
      process.kill(pid, 'SIGKILL')
      await eventually(() => !isAlive(pid))
      await eventually(() => service.workers().size === 3, 20_000)
      const refused = () => service.log().filter(({ msg }) => msg === 'token not connected')
      await eventually(() => refused().length >= 4)
      expect(refused().filter(({ ckr }) => ckr === 'CKR_PIN_INCORRECT')).toHaveLength(1)
      const told = refused().filter(({ reason }) => String(reason).includes('refused this PIN before'))
      expect(told).toHaveLength(3)
      writeFileSync(pinFile, readFileSync(join(home, 'secrets/user-pin')))
      await eventually(async () => (await scrape(service, 'p11kms_token_up')).size === 3)
      await eventually(async () => sum((await scrape(service, 'p11kms_token_up')).values()) === 3, 20_000)
    } finally {
      writeFileSync(config, text)
    }
  })
})
