import { Writable } from 'node:stream'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UseKeeper } from '../../src/use-keeper.ts'

describe('the keeper of last uses', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const lines: string[] = []
  const logger = pino(
    new Writable({ write: (chunk: Buffer, _, done) => (lines.push(chunk.toString()), done()) }),
  )

  it('stores at intervals, one round at a time, and once more at the end', async () => {
    const rounds: PromiseWithResolvers<void>[] = []
    const flush = () => {
      const round = Promise.withResolvers<void>()
      rounds.push(round)
      return round.promise
    }
    const keeper = new UseKeeper({ flush }, 1000, logger)
    await vi.advanceTimersByTimeAsync(999)
    expect(rounds).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(5000)
    expect(rounds).toHaveLength(1)
    rounds[0]?.resolve()
    await vi.advanceTimersByTimeAsync(1000)
    expect(rounds).toHaveLength(2)
    const stopped = keeper.stop()
    await vi.advanceTimersByTimeAsync(0)
    expect(rounds).toHaveLength(2)
    rounds[1]?.resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(rounds).toHaveLength(3)
    rounds[2]?.resolve()
    await stopped
    await vi.advanceTimersByTimeAsync(5000)
    expect(rounds).toHaveLength(3)
  })

  it('goes on when the store is away, and says so', async () => {
    let asked = 0
    const flush = async () => {
      asked += 1
      throw new Error('away')
    }
    const keeper = new UseKeeper({ flush }, 1000, logger)
    await vi.advanceTimersByTimeAsync(2000)
    await keeper.stop()
    expect(asked).toBe(3)
    expect(lines.join('')).toContain('could not store when keys were last used')
  })
})
