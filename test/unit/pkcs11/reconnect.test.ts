import { expect, it } from 'vitest'
import { RepeatedLog } from '../../../src/lib/repeated-log.ts'
import { Backoff } from '../../../src/providers/pkcs11/backoff.ts'
import { ConnectionLog } from '../../../src/providers/pkcs11/connection-log.ts'
import { lacksSession, toFault } from '../../../src/providers/pkcs11/errors.ts'
import { GuardedPin } from '../../../src/providers/pkcs11/guarded-pin.ts'
import type { Lane } from '../../../src/providers/pkcs11/lanes/lane.ts'
import { LostLanes } from '../../../src/providers/pkcs11/lost-lanes.ts'
import { LogRecorder } from '../../support/softhsm.ts'

it('pauses twice as long after each attempt, up to the bound, and less by up to a half at random', () => {
  const longest = new Backoff(1000, () => 0)
  const shortest = new Backoff(1000, () => 1)
  const take = (backoff: Backoff) => Array.from({ length: 7 }, () => backoff.next())
  expect(take(longest)).toEqual([50, 100, 200, 400, 800, 1000, 1000])
  expect(take(shortest)).toEqual([25, 50, 100, 200, 400, 500, 500])
  longest.reset()
  expect(longest.next()).toBe(50)
  expect(take(new Backoff(10, () => 0))).toEqual([10, 10, 10, 10, 10, 10, 10])
})

it('tells of an absent token once, and then every minute with how often it was tried', () => {
  const log = new LogRecorder()
  let now = 0
  const told = new ConnectionLog('prod', log, () => now)
  const absent = { reason: 'No token is present.', hint: 'Connect it.', ckr: 'CKR_X', function: 'C_Y' }
  for (now = 0; now < 180_000; now += 1_000) told.notConnected(absent, true)
  const lines = log.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatchObject({ level: 'warn', token: 'prod', ...absent, next: expect.any(String) })
  expect(lines.map(({ repeated }) => repeated)).toEqual([undefined, 59, 59])
  told.notConnected({ reason: 'The PIN is wrong.' }, false)
  expect(log.lines).toHaveLength(4)
  expect(JSON.parse(log.lines[3] ?? '')).toMatchObject({ level: 'error' })
})

it('keeps two troubles apart that take turns, and remembers no more than 64', () => {
  const log = new LogRecorder()
  const repeated = new RepeatedLog(log, 60_000, () => 0)
  for (let i = 0; i < 10; i += 1) repeated.tell('warn', i % 2 === 0 ? 'a' : 'b', {}, 'trouble')
  expect(log.lines).toHaveLength(2)
  for (let i = 0; i < 64; i += 1) repeated.tell('warn', `other ${i}`, {}, 'trouble')
  repeated.tell('warn', 'a', {}, 'trouble')
  expect(log.lines).toHaveLength(2 + 64 + 1)
})

it('never gives out a PIN that the token refused', async () => {
  const made: Buffer[] = []
  const pin = new GuardedPin(async () => {
    made.push(Buffer.from('1234'))
    return made.at(-1) ?? Buffer.alloc(0)
  })
  expect((await pin.take()).toString()).toBe('1234')
  pin.refuse()
  for (let i = 0; i < 3; i += 1) {
    await expect(pin.take()).rejects.toMatchObject({ fault: { operator: true } })
    expect(made.at(-1)).toEqual(Buffer.alloc(4))
  }
  pin.accept()
  expect((await pin.take()).toString()).toBe('1234')
})

it('gives out no PIN that the token refused to another process, nor one whose turn never comes', async () => {
  const made: Buffer[] = []
  const read = async () => {
    made.push(Buffer.from('1234'))
    return made.at(-1) ?? Buffer.alloc(0)
  }
  const refusedElsewhere = new GuardedPin(read, 1, async () => false)
  await expect(refusedElsewhere.take()).rejects.toMatchObject({ fault: { operator: true } })
  const closing = new GuardedPin(read, 1, () => Promise.reject(new Error('The service is shutting down.')))
  await expect(closing.take()).rejects.toThrow('shutting down')
  expect(made).toEqual([Buffer.alloc(4), Buffer.alloc(4)])
})

it('takes a changed PIN for one when it is the same at two looks, and no third one', async () => {
  const reads = ['wrong', 'wrong', '', 'ri', 'right', 'right', 'right', 'third']
  let last = ''
  const signal = new AbortController().signal
  const pin = new GuardedPin(async () => {
    last = reads.shift() ?? last
    if (last === '') throw new Error('It is being written.')
    return Buffer.from(last)
  }, 1)
  expect((await pin.take()).toString()).toBe('wrong')
  pin.refuse()
  expect(await pin.changed(signal)).toBe(true)
  expect((await pin.take()).toString()).toBe('right')
  expect(reads).toEqual(['third'])
  pin.refuse()
  expect(await pin.changed(signal)).toBe(false)
  expect(reads).toEqual(['third'])
})

it('waits for a changed PIN no longer than the service runs', async () => {
  const closing = new AbortController()
  const pin = new GuardedPin(async () => Buffer.from('1234'))
  await pin.take()
  pin.refuse()
  const changed = pin.changed(closing.signal)
  closing.abort()
  expect(await changed).toBe(false)
})

it.each([
  ['CKR_SESSION_COUNT', 177, 'C_OpenSession', true],
  ['CKR_DEVICE_MEMORY', 49, 'C_OpenSession', true],
  ['CKR_VENDOR_DEFINED', 0x8000_0001, 'C_OpenSession', true],
  ['CKR_DEVICE_REMOVED', 50, 'C_OpenSession', false],
  ['CKR_DEVICE_MEMORY', 49, 'C_GenerateKey', false],
])('%s (%i) of %s lets a lane wait for a session: %s', (name, code, method, expected) => {
  const fault = toFault(Object.assign(new Error(name), { name: 'Pkcs11Error', code, method }))
  expect(lacksSession(fault)).toBe(expected)
})

it('gives up on lanes that hang at one time, or that end by themselves sixteen times within a minute', () => {
  let now = 0
  const lost = new LostLanes(2, () => now)
  const lane = (exited: boolean) => ({ exited }) as { exited: boolean } & Lane
  const hung = [lane(false), lane(false), lane(false)]
  for (const one of hung.slice(0, 2)) lost.add(one)
  expect(lost.beyondReplacement()).toBeUndefined()
  lost.add(hung[2] ?? lane(false))
  expect(lost.beyondReplacement()).toContain('hang')
  for (const one of hung) one.exited = true
  expect([lost.hung, lost.count, lost.beyondReplacement()]).toEqual([0, 3, undefined])
  for (let i = 0; i < 16; i += 1) lost.add(lane(true))
  expect(lost.beyondReplacement()).toBeUndefined()
  lost.add(lane(true))
  expect(lost.beyondReplacement()).toContain('again and again')
  now = 60_001
  expect(lost.beyondReplacement()).toBeUndefined()
})
