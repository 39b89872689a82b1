import pino from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { RotationLoop } from '../../src/rotation-loop.ts'

const HOUR_MS = 3_600_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function loopOf(run: (signal: AbortSignal) => Promise<void>) {
  return new RotationLoop(run, HOUR_MS, pino({ level: 'silent' }))
}

it('rotation runs at once and at intervals, one round after the other, a failed one included', async () => {
  let rounds = 0
  const loop = loopOf(async () => {
    rounds += 1
    if (rounds === 2) throw new Error('the store is away')
  })
  loop.start()
  await vi.advanceTimersByTimeAsync(0)
  expect(rounds).toBe(1)
  await vi.advanceTimersByTimeAsync(2 * HOUR_MS)
  expect(rounds).toBe(3)
  await loop.stop()
  await vi.advanceTimersByTimeAsync(HOUR_MS)
  expect(rounds).toBe(3)
})

it('rotation runs soon when something is due, and not more often than once a second however often it is told', async () => {
  let rounds = 0
  const loop = loopOf(async () => {
    rounds += 1
    // Found due while the round runs: after it has looked.
    if (rounds === 2) loop.wake()
  })
  loop.start()
  await vi.advanceTimersByTimeAsync(10_000)
  for (let told = 0; told < 100; told++) loop.wake()
  await vi.advanceTimersByTimeAsync(0)
  expect(rounds).toBe(2)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(rounds).toBe(3)
  for (let told = 0; told < 100; told++) {
    loop.wake()
    await vi.advanceTimersByTimeAsync(30)
  }
  expect(rounds).toBeGreaterThanOrEqual(5)
  expect(rounds).toBeLessThanOrEqual(6)
  await loop.stop()
})

it('stopping waits for the round that runs, and tells it to take no further key', async () => {
  const events: string[] = []
  const loop = loopOf(async (signal) => {
    await new Promise((resolve) => setTimeout(resolve, 500))
    events.push(signal.aborted ? 'told' : 'not told')
  })
  loop.start()
  await vi.advanceTimersByTimeAsync(10)
  const stopped = loop.stop().then(() => events.push('stopped'))
  loop.wake()
  await vi.advanceTimersByTimeAsync(HOUR_MS)
  await stopped
  expect(events).toEqual(['told', 'stopped'])
})
