import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, it } from 'vitest'
import { LaneFleet } from '../../../src/providers/pkcs11/lane-fleet.ts'
import { type Call, type CallOutcome, Lane } from '../../../src/providers/pkcs11/lanes/lane.ts'
import {
  decodeFrames,
  encodeFrames,
  OPERATIONS,
  REPLY,
} from '../../../src/providers/pkcs11/lanes/messages.ts'
import { LanePool } from '../../../src/providers/pkcs11/lanes/pool.ts'
import type { ConnectRequest } from '../../../src/providers/pkcs11/procedures/connect.ts'
import type { Pkcs11TokenSettings } from '../../../src/providers/pkcs11/settings.ts'

/** Lanes that are attached to no token answer every call with a fault, which is all that these tests need. */

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()))
})

const soon = () => ({ deadlineAt: Date.now() + 30 })
const later = () => ({ deadlineAt: Date.now() + 60_000 })

function makePool(
  settings: Partial<ConstructorParameters<typeof LanePool>[0]> = {},
  ready = false,
): LanePool {
  const pool = new LanePool(
    { role: 'test', lanes: 1, queueMax: 64, laneTimeoutMs: 60_000, ...settings },
    { onLost: () => false, onReplaced: () => undefined, onRemark: () => undefined },
  )
  ends.push(() => pool.end())
  for (const lane of pool.lanes) lane.ready = true
  pool.release()
  for (const lane of pool.lanes) lane.ready = ready
  return pool
}

function makeCall(deadlineAt: number): { readonly call: Call; readonly outcomes: CallOutcome[] } {
  const outcomes: CallOutcome[] = []
  const settle = (outcome: CallOutcome) => void outcomes.push(outcome)
  const call = { operation: 'generateRandom', number: 8, parts: [], deadlineAt, enqueuedAt: 0 } as const
  return { call: { ...call, timings: undefined, settle, settled: false }, outcomes }
}

it('ends a call that waits for a lane at its own deadline, urgent or not', async () => {
  const pool = makePool()
  // The lane is not ready, so nothing leaves the queue.
  const patient = pool.call('seal', 0, [], later())
  const hasty = [pool.call('seal', 0, [], soon()), pool.call('seal', 0, [], soon(), true)]
  expect(await Promise.all(hasty)).toEqual([{ kind: 'timeout' }, { kind: 'timeout' }])
  expect(pool.depth).toBe(1)
  pool.hold({ kind: 'unavailable', cause: undefined })
  expect(await patient).toMatchObject({ kind: 'unavailable' })
})

it('ends a call that a lane has at its own deadline, and zeroes what the token says later', async () => {
  const progress: (() => void)[] = []
  const said: Uint8Array[] = []
  const lane = new Lane('test', {
    onProgress: () => progress.forEach((tell) => tell()),
    onExit: () => undefined,
    onRemark: (_, { parts }) => void said.push(...parts),
  })
  ends.push(() => lane.end())
  const deadlineAt = Date.now() + 60_000
  const [hasty, patient] = [makeCall(deadlineAt), makeCall(deadlineAt + 10)]
  lane.post([hasty.call, patient.call])
  lane.expire(deadlineAt)
  expect([hasty.outcomes, patient.outcomes]).toEqual([[], []])
  lane.expire(deadlineAt + 1)
  expect([hasty.outcomes, patient.outcomes]).toEqual([[{ kind: 'timeout' }], []])
  while (lane.inFlight > 0) await new Promise<void>((resolve) => progress.push(resolve))
  expect(hasty.outcomes).toHaveLength(1)
  expect(patient.outcomes).toMatchObject([{ kind: 'reply' }])
  expect(said.map((part) => part.some((byte) => byte !== 0))).toEqual([false, true])
})

it('loses no lane because the main thread stood still itself', async () => {
  const lost: string[] = []
  const pool = new LanePool(
    { role: 'test', lanes: 1, queueMax: 64, laneTimeoutMs: 200 },
    {
      onLost: (_, reason) => lost.push(reason.message) < 0,
      onReplaced: () => undefined,
      onRemark: () => undefined,
    },
  )
  ends.push(() => pool.end())
  const [lane] = pool.lanes
  if (!lane) throw new Error('There is no lane.')
  lane.ready = true
  pool.release()
  expect(await pool.call('seal', 0, [], later())).toMatchObject({ kind: 'reply' })
  const answer = pool.call('seal', 0, [], later())
  await new Promise((resolve) => setImmediate(resolve))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800)
  expect(await answer).toMatchObject({ kind: 'reply' })
  expect(lost).toEqual([])
})

it('ends a call that its lane looks at too late, without the token', async () => {
  const worker = new Worker(new URL('../../../src/providers/pkcs11/lanes/worker.ts', import.meta.url), {
    execArgv: [],
    workerData: new Int32Array(new SharedArrayBuffer(4)),
  })
  ends.push(() => worker.terminate())
  const code = OPERATIONS.indexOf('generateRandom')
  const frame = (id: number, time: number) => ({ id, code, time, number: 8, parts: [] })
  const packet = encodeFrames([frame(1, Date.now() - 1), frame(2, Date.now() + 60_000)])
  await once(worker, 'message')
  worker.postMessage(packet, [packet.buffer])
  const replies: number[][] = []
  while (replies.length < 2) {
    const [message] = (await once(worker, 'message')) as [Uint8Array<ArrayBuffer>]
    replies.push(...decodeFrames(message).map((reply) => [reply.id, reply.code]))
  }
  expect(replies).toEqual([
    [1, REPLY.expired],
    [2, REPLY.fault],
  ])
})

it('leaves nothing of a request in memory once it was served, PINs and plaintexts least of all', async () => {
  const worker = new Worker(new URL('../../../src/providers/pkcs11/lanes/worker.ts', import.meta.url), {
    execArgv: [],
    workerData: new Int32Array(new SharedArrayBuffer(4)),
  })
  ends.push(() => worker.terminate())
  await once(worker, 'message')
  const parts = [Buffer.from('{"module":"/nowhere"}'), Buffer.from('a PIN of nobody')]
  const requests = ['connect', 'seal'].map((operation, index) => ({
    id: index + 1,
    code: OPERATIONS.findIndex((one) => one === operation),
    time: Date.now() + 60_000,
    number: 0,
    parts,
  }))
  const packet = encodeFrames(requests)
  // Shared, so that what the worker leaves in it is seen here; a lane transfers it.
  const shared = new Uint8Array(new SharedArrayBuffer(packet.length))
  shared.set(packet)
  expect(Buffer.from(shared).includes('a PIN of nobody')).toBe(true)
  worker.postMessage(shared, [])
  let replies = 0
  while (replies < requests.length) {
    const [message] = (await once(worker, 'message')) as [Uint8Array<ArrayBuffer>]
    replies += decodeFrames(message).length
  }
  // The last replies are posted before the worker is done with the message.
  await expect.poll(() => shared.every((byte) => byte === 0)).toBe(true)
})

it('keeps no PIN once a connect was sent', async () => {
  const settings = {
    name: 'main',
    module: '/nowhere',
    lanes: { crypto: 1 },
    queueMax: 1,
    laneTimeoutMs: 60_000,
    pairTimeoutMs: 60_000,
    lostLanesMax: 1,
  } as Pkcs11TokenSettings
  const fleet = new LaneFleet(settings, {
    onLost: () => false,
    onReplaced: () => undefined,
    onStarved: () => undefined,
    onNotes: () => undefined,
  })
  ends.push(() => fleet.end())
  const pin = Buffer.from('a PIN of nobody')
  const request = { module: '/nowhere', criteria: {}, taken: [] } as unknown as ConnectRequest
  const connecting = fleet.connect(request, pin)
  expect(pin.every((byte) => byte === 0)).toBe(true)
  await expect(connecting).rejects.toThrow()
})

it('loses a lane that is silent for longer than what it has may take, and a long call may take longer', async () => {
  const [shortMs, longMs] = [1_000, 5_000]
  for (const [operation, silentMs, isLost] of [
    ['seal', shortMs + 1, true],
    ['sealKeyPair', shortMs + 1, false],
    ['sealKeyPair', longMs, false],
    ['sealKeyPair', longMs + 1, true],
  ] as const) {
    const lost: string[] = []
    const pool = new LanePool(
      {
        role: 'test',
        lanes: 1,
        queueMax: 64,
        laneTimeoutMs: shortMs,
        longCallsMs: { sealKeyPair: longMs },
      },
      {
        onLost: (_, reason) => lost.push(reason.message) < 0,
        onReplaced: () => undefined,
        onRemark: () => undefined,
      },
    )
    ends.push(() => pool.end())
    const [lane] = pool.lanes
    if (!lane) throw new Error('There is no lane.')
    lane.ready = true
    pool.release()
    // What it has, and for how long it said nothing, are told here: a worker that is gone never answers.
    await lane.end()
    const waits = pool.call('seal', 0, [], later())
    let looked = 0
    Object.defineProperty(lane, 'operations', { value: [operation] })
    lane.silentMs = () => {
      looked += 1
      return silentMs
    }
    await expect.poll(() => looked, { timeout: 10_000 }).toBeGreaterThan(2 * Number(!isLost))
    const limitMs = operation === 'seal' ? shortMs : longMs
    expect(lost).toEqual(isLost ? [`A test lane did not answer for ${limitMs} ms.`] : [])
    pool.hold({ kind: 'unavailable', cause: undefined })
    await waits
  }
})

it.each([
  // Out of the library it ends what it had begun, and closes its session.
  ['generateRandom', 0],
  // The rest of a connect would give the PIN once more.
  ['connect', 1],
] as const)(
  'lets a lane go that was given up in %s: its worker ends with exit code %i',
  async (operation, code) => {
    const listens = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<Error>()
    const lane = new Lane('test', {
      onProgress: () => listens.resolve(),
      onExit: (_, cause) => ended.resolve(cause),
      onRemark: () => undefined,
    })
    ends.push(() => lane.end())
    const { call, outcomes } = makeCall(Date.now() + 60_000)
    await listens.promise
    lane.post([{ ...call, operation }])
    lane.abandon({ kind: 'timeout' })
    expect((await ended.promise).message).toBe(`The lane ended with exit code ${code}.`)
    expect([lane.exited, lane.inFlight, outcomes]).toEqual([true, 0, [{ kind: 'timeout' }]])
  },
)

it('lets a lane go that had become idle when it was given up', async () => {
  const ended = Promise.withResolvers<Error>()
  const replied = Promise.withResolvers<void>()
  const lane = new Lane('test', {
    onProgress: () => lane.inFlight === 0 && replied.resolve(),
    onExit: (_, cause) => ended.resolve(cause),
    onRemark: () => undefined,
  })
  ends.push(() => lane.end())
  lane.post([makeCall(Date.now() + 60_000).call])
  await replied.promise
  lane.abandon({ kind: 'timeout' })
  expect((await ended.promise).message).toBe('The lane ended with exit code 0.')
})

it('sends an urgent call ahead of all that its lanes do not have yet', async () => {
  const pool = makePool({ batchMax: 1 }, true)
  const order: string[] = []
  const calls = Array.from({ length: 60 }, () =>
    pool.call('createMasterKey', 0, [], later()).then(() => order.push('create')),
  )
  const urgent = pool.call('findMasterKey', 0, [], later(), true).then(() => order.push('find'))
  await Promise.all([...calls, urgent])
  expect(order).toHaveLength(61)
  // Two messages were on their way already, of one call each.
  expect(order.indexOf('find')).toBeLessThanOrEqual(2)
})

it('takes urgent calls while its queue is full, but not without bound', async () => {
  const pool = makePool({ queueMax: 2 })
  const fill = (urgent: boolean) => Array.from({ length: 3 }, () => pool.call('seal', 0, [], later(), urgent))
  const [calls, urgent] = [fill(false), fill(true)]
  expect(pool.depth).toBe(4)
  expect(await Promise.all([calls[2], urgent[2]])).toEqual([{ kind: 'timeout' }, { kind: 'timeout' }])
  pool.hold({ kind: 'unavailable', cause: undefined })
  expect(pool.depth).toBe(0)
  for (const outcome of await Promise.all([...calls.slice(0, 2), ...urgent.slice(0, 2)])) {
    expect(outcome).toMatchObject({ kind: 'unavailable' })
  }
})

it('answers at once, instead of at their deadlines, when the last lane that could serve is lost', async () => {
  const lost: string[] = []
  const pool = new LanePool(
    { role: 'test', lanes: 1, queueMax: 64, laneTimeoutMs: 1 },
    {
      onLost: (_, reason) => lost.push(reason.message) > 0,
      onReplaced: () => undefined,
      onRemark: () => undefined,
    },
  )
  ends.push(() => pool.end())
  const [lane] = pool.lanes
  if (!lane) throw new Error('There is no lane.')
  lane.ready = true
  pool.release()
  await lane.end()
  expect([pool.open, pool.readyLanes]).toEqual([true, 0])
  // A worker that is gone never answers, and it is not yet known to be.
  const waits = pool.call('seal', 0, [], later())
  lane.silentMs = () => 2
  expect(await waits).toMatchObject({ kind: 'unavailable' })
  expect([pool.open, lost.length]).toEqual([false, 1])
  expect(await pool.call('seal', 0, [], later())).toMatchObject({ kind: 'unavailable' })
  // The lane in its place is not attached yet.
  pool.release()
  expect(pool.open).toBe(false)
})
