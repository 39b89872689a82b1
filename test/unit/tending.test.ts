import { pino } from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CONFIG_SCHEMA } from '../../src/config/schema.ts'
import { Maintenance } from '../../src/core/maintenance.ts'
import { Tending } from '../../src/tending.ts'
import { kmsFixture } from '../support/kms-fixture.ts'

const LOCKED_AT = Date.parse('2026-01-01T00:00:00Z')
const REQUEST_TIMEOUT_MS = 10_000
const INTERVAL_MS = 60_000

beforeEach(() => void vi.useFakeTimers({ now: LOCKED_AT + 1_000 }))
afterEach(() => vi.useRealTimers())

function tendingFixture(lockedAt = LOCKED_AT) {
  const config = CONFIG_SCHEMA.parse({
    server: { requestTimeoutMs: REQUEST_TIMEOUT_MS },
    keys: { maintenanceIntervalMs: INTERVAL_MS },
    accounts: [
      {
        awsAccountId: '111122223333',
        credentials: [{ accessKeyId: 'AKIAEXAMPLEEXAMPLE00', secretAccessKey: { env: 'SECRET' } }],
      },
    ],
    tokens: [{ name: 'main', module: 'module.so', label: 'prod', pin: { env: 'PIN' } }],
  })
  const { store, provider, directory, clock } = kmsFixture()
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const maintenance = new Maintenance({ store, provider, directory, clock, log, destructionGraceMs: 0 })
  const run = vi.spyOn(maintenance, 'run')
  return { run, tending: new Tending(config, maintenance, lockedAt, pino({ level: 'silent' })) }
}

it('gives up creations of before the lock at once, and others when they had twice the time of a request', async () => {
  const { run, tending } = tendingFixture()
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  expect(run).not.toHaveBeenCalled()
  tending.start()
  tending.start()
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  await tending.stop()
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  const startedAt = LOCKED_AT + 1_000 + INTERVAL_MS
  // A worker that begins to tend late must not give up what another has under way.
  expect(run.mock.calls.map(([creatingBefore]) => creatingBefore)).toStrictEqual([
    startedAt - 2 * REQUEST_TIMEOUT_MS,
    startedAt + INTERVAL_MS - 2 * REQUEST_TIMEOUT_MS,
  ])
  const early = tendingFixture(startedAt + 2 * INTERVAL_MS)
  early.tending.start()
  await early.tending.stop()
  expect(early.run.mock.lastCall?.[0]).toBe(startedAt + 2 * INTERVAL_MS)
})

it('leaves out the rounds that fall due while one is under way', async () => {
  const { run, tending } = tendingFixture()
  const slow = Promise.withResolvers<Awaited<ReturnType<Maintenance['run']>>>()
  run.mockReturnValueOnce(slow.promise)
  tending.start()
  await vi.advanceTimersByTimeAsync(5 * INTERVAL_MS)
  expect(run).toHaveBeenCalledTimes(1)
  slow.reject(new Error('the round failed'))
  await vi.advanceTimersByTimeAsync(0)
  expect(run).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  expect(run).toHaveBeenCalledTimes(2)
  await tending.stop()
})

it('has stopped when the round that is under way has ended, which it is told to do', async () => {
  const { run, tending } = tendingFixture()
  const slow = Promise.withResolvers<Awaited<ReturnType<Maintenance['run']>>>()
  run.mockReturnValueOnce(slow.promise)
  tending.start()
  let stopped = false
  const stopping = tending.stop().then(() => (stopped = true))
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  expect(stopped).toBe(false)
  expect(run.mock.lastCall?.[1]?.aborted).toBe(true)
  slow.resolve({ finished: 0, rolledBack: 0, destroyed: 0, failed: 0 })
  expect(await stopping).toBe(true)
  tending.start()
  await vi.advanceTimersByTimeAsync(INTERVAL_MS)
  expect(run).toHaveBeenCalledTimes(1)
})
