import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { PairGate } from '../../../src/core/pair-gate.ts'
import type { LeaseStore } from '../../../src/core/ports/lease-store.ts'
import { SYSTEM_CLOCK } from '../../../src/lib/clock.ts'
import { MemoryLeaseStore } from '../../support/memory-lease-store.ts'

const PAIR_TIMEOUT_MS = 30_000
const MAIN = { token: 'main', accountId: '111122223333' }
const busy = { code: 'TOKEN_BUSY', details: { token: 'main' } }

/** The gate of a process on a store. */
const gateOn = (leases: LeaseStore, clock = SYSTEM_CLOCK) =>
  new PairGate({ leases, clock, newId: randomUUID, pairTimeoutMs: () => PAIR_TIMEOUT_MS })

/** Work that goes on until it is told to end. */
function openWork() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<number>()
  const run = (deadlineAt: number) => {
    begin(deadlineAt)
    return promise
  }
  return { run, begun, end: () => resolve('made'), fail: reject }
}

describe('PairGate', () => {
  it('lets one in at a time, those of an account in the order they came', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const order: number[] = []
    let inside = 0
    let most = 0
    const made = Array.from({ length: 17 }, (_, index) =>
      gate.use(MAIN, 10_000, async () => {
        inside += 1
        most = Math.max(most, inside)
        await new Promise((resolve) => setTimeout(resolve, 5))
        order.push(index)
        inside -= 1
        return index
      }),
    )
    expect(await Promise.all(made)).toEqual(Array.from({ length: 17 }, (_, index) => index))
    expect(order).toEqual(Array.from({ length: 17 }, (_, index) => index))
    expect(most).toBe(1)
  })

  it('refuses at once who does not wait, and after the wait who does', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const work = openWork()
    const first = gate.use(MAIN, 0, work.run)
    await work.begun
    let ran = false
    const never = async () => void (ran = true)
    await expect(gate.use(MAIN, 0, never)).rejects.toMatchObject(busy)
    await expect(gate.use(MAIN, -5, never)).rejects.toMatchObject(busy)
    const before = performance.now()
    await expect(gate.use(MAIN, 200, never)).rejects.toMatchObject(busy)
    expect(performance.now() - before).toBeGreaterThanOrEqual(195)
    expect(ran).toBe(false)
    work.end()
    expect(await first).toBe('made')
    expect(await gate.use(MAIN, 0, async () => 'free')).toBe('free')
  })

  it('is open again after work that failed, and after who stopped waiting', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const work = openWork()
    const failing = gate.use(MAIN, 0, work.run)
    const impatient = gate.use(MAIN, 50, async () => 'impatient')
    const patient = gate.use(MAIN, 10_000, async () => 'patient')
    await expect(impatient).rejects.toMatchObject(busy)
    work.fail(new Error('the token broke'))
    await expect(failing).rejects.toThrow('the token broke')
    expect(await patient).toBe('patient')
  })

  it('keeps tokens apart', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const work = openWork()
    const first = gate.use(MAIN, 0, work.run)
    await work.begun
    expect(await gate.use({ ...MAIN, token: 'other' }, 0, async () => 'made')).toBe('made')
    work.end()
    await first
  })

  it('lets no more than 64 of an account wait, and 256 of all', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const work = openWork()
    const all = [gate.use(MAIN, 0, work.run)]
    for (const accountId of ['a', 'b', 'c', 'd']) {
      const turn = { ...MAIN, accountId }
      for (let index = 0; index < 64; index += 1) all.push(gate.use(turn, 30_000, async () => 'waited'))
      await expect(gate.use(turn, 30_000, async () => 'too many')).rejects.toMatchObject(busy)
    }
    const another = { ...MAIN, accountId: 'e' }
    await expect(gate.use(another, 30_000, async () => 'too many')).rejects.toMatchObject(busy)
    work.end()
    expect(await Promise.all(all)).toEqual(['made', ...Array.from({ length: 256 }, () => 'waited')])
    expect(await gate.use(another, 0, async () => 'free')).toBe('free')
  })

  it('has accounts take turns: one that asks for much waits for itself', async () => {
    const gate = gateOn(new MemoryLeaseStore())
    const work = openWork()
    const order: string[] = []
    const asks = (accountId: string, name: string) =>
      gate.use({ ...MAIN, accountId }, 30_000, async () => void order.push(name))
    const first = gate.use(MAIN, 0, work.run)
    await work.begun
    const many = Array.from({ length: 5 }, (_, index) => asks('greedy', `greedy ${index}`))
    const impatient = gate.use({ ...MAIN, accountId: 'other' }, 20, async () => void order.push('never'))
    const few = [asks('modest', 'modest 0'), asks('modest', 'modest 1')]
    await expect(impatient).rejects.toMatchObject(busy)
    work.end()
    await Promise.all([first, ...many, ...few])
    const [g0, g1, ...rest] = Array.from({ length: 5 }, (_, index) => `greedy ${index}`)
    expect(order).toEqual([g0, 'modest 0', g1, 'modest 1', ...rest])
  })

  it('is one gate for all processes on a store: refuses at once, or waits for the other one', async () => {
    const leases = new MemoryLeaseStore()
    const [here, there] = [gateOn(leases), gateOn(leases)]
    const work = openWork()
    const first = there.use(MAIN, 0, work.run)
    await work.begun
    await expect(here.use(MAIN, 0, async () => 'early')).rejects.toMatchObject(busy)
    await expect(here.use(MAIN, 120, async () => 'early')).rejects.toMatchObject(busy)
    const waiting = here.use(MAIN, 10_000, async () => 'after')
    await new Promise((resolve) => setTimeout(resolve, 120))
    work.end()
    expect(await Promise.all([first, waiting])).toEqual(['made', 'after'])
  })

  it('is opened by the end of the lease where a process died, and never while that could still be at work', async () => {
    const leases = new MemoryLeaseStore()
    let offsetMs = 0
    const clock = { now: () => Date.now() + offsetMs, monotonic: () => performance.now() }
    const work = openWork()
    void gateOn(leases, clock).use(MAIN, 0, work.run)
    const deadlineAt = await work.begun
    expect(deadlineAt - clock.now()).toBeGreaterThan(PAIR_TIMEOUT_MS)
    const successor = gateOn(leases, clock)
    offsetMs = deadlineAt - Date.now()
    await expect(successor.use(MAIN, 0, async () => 'early')).rejects.toMatchObject(busy)
    offsetMs += 5_000
    expect(await successor.use(MAIN, 0, async () => 'free')).toBe('free')
  })

  it('takes nobody else his lease when it is late, and works on when the store is away at the end', async () => {
    const leases = new MemoryLeaseStore()
    let offsetMs = 0
    const clock = { now: () => Date.now() + offsetMs, monotonic: () => performance.now() }
    const [late, next] = [openWork(), openWork()]
    const slow = gateOn(leases, clock).use(MAIN, 0, late.run)
    await late.begun
    offsetMs = 600_000
    const second = gateOn(leases, clock).use(MAIN, 0, next.run)
    await next.begun
    late.end()
    expect(await slow).toBe('made')
    await expect(gateOn(leases, clock).use(MAIN, 0, async () => 'third')).rejects.toMatchObject(busy)
    leases.releaseLease = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'away', {}))
    next.end()
    expect(await second).toBe('made')
  })

  it('gives its lease back although the store fails at it for a moment', async () => {
    const leases = new MemoryLeaseStore()
    const releaseLease = leases.releaseLease.bind(leases)
    let failures = 2
    leases.releaseLease = async (name, holder) => {
      if (failures-- > 0) throw new KmsError('STORE_UNAVAILABLE', 'away', {})
      return releaseLease(name, holder)
    }
    expect(await gateOn(leases).use(MAIN, 0, async () => 'made')).toBe('made')
    expect(await gateOn(leases).use(MAIN, 0, async () => 'next')).toBe('next')
  })

  it('leaves no lease behind that the store took before it failed', async () => {
    const leases = new MemoryLeaseStore()
    const acquireLease = leases.acquireLease.bind(leases)
    leases.acquireLease = async (lease, now) => {
      leases.acquireLease = acquireLease
      await acquireLease(lease, now)
      throw new KmsError('STORE_UNAVAILABLE', 'away', {})
    }
    const gate = gateOn(leases)
    await expect(gate.use(MAIN, 0, async () => 'in')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await gate.use(MAIN, 0, async () => 'next')).toBe('next')
  })

  it('lets nobody in while the store is away', async () => {
    const leases = new MemoryLeaseStore()
    leases.acquireLease = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'away', {}))
    const gate = gateOn(leases)
    const away = { code: 'STORE_UNAVAILABLE' }
    await expect(gate.use(MAIN, 100, async () => 'in')).rejects.toMatchObject(away)
    await expect(gate.use(MAIN, 100, async () => 'in')).rejects.toMatchObject(away)
  })
})
