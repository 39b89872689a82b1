import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { COUNTED_INVOCATIONS_MAX, GcmBudget, type GcmBudgetSettings } from '../../../src/core/gcm-budget.ts'
import type { InvocationBlock, InvocationLedger } from '../../../src/core/ports/invocation-ledger.ts'

const NAME = { keyId: randomUUID(), versionId: randomUUID() }
const AWAY = new KmsError('STORE_UNAVAILABLE', 'The key store is not available.', {})

/** A ledger of one version whose answers wait until the test lets them go. */
class ManualLedger implements InvocationLedger {
  leased = 0
  waiting: (() => void)[] = []
  asked = 0
  failWith: KmsError | undefined
  held = false

  async leaseInvocations(_: string, count: number, max: number): Promise<InvocationBlock> {
    this.asked += 1
    if (this.held) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.failWith) throw this.failWith
    const first = this.leased
    this.leased += Math.max(0, Math.min(count, max - first))
    return { first, count: this.leased - first }
  }

  async mostLeased(): Promise<number> {
    return this.leased
  }

  release(): void {
    for (const go of this.waiting.splice(0)) go()
  }
}

let ledger: ManualLedger
let nowMs: number
let logged: string[]
let due: number

beforeEach(() => {
  ledger = new ManualLedger()
  nowMs = 1_000_000
  logged = []
  due = 0
})

function budgetOf(settings: Partial<GcmBudgetSettings> = {}): GcmBudget {
  const note = (_: unknown, message: string) => void logged.push(message)
  return new GcmBudget({
    ledger,
    clock: { now: () => nowMs, monotonic: () => nowMs },
    log: { warn: note, error: note },
    settings: { invocationsMax: 100, leaseInvocations: 8, rotateAt: 50, ...settings },
    onRotationDue: () => {
      due += 1
    },
  })
}

/** Everything that waits for a ledger which answers at once has happened after this. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

async function codeOf(taken: Promise<void> | undefined): Promise<string> {
  return Promise.resolve(taken).then(
    () => 'taken',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

/** Takes until refused; how often it was not, and why it then was. */
async function takeAll(budget: GcmBudget, atMost = 1000): Promise<[number, string]> {
  for (let taken = 0; taken < atMost; taken++) {
    const code = await codeOf(budget.take(NAME))
    if (code !== 'taken') return [taken, code]
  }
  return [atMost, 'taken']
}

describe('the invocations that a process may have', () => {
  it('are taken without a promise while the block has some', async () => {
    const budget = budgetOf({ leaseInvocations: 16 })
    await budget.take(NAME)
    for (let taken = 1; taken < 16; taken++) expect(budget.take(NAME)).toBeUndefined()
  })

  it('are asked for ahead of need, once, so that nobody waits', async () => {
    const budget = budgetOf()
    await budget.take(NAME)
    for (let taken = 1; taken < 6; taken++) expect(budget.take(NAME)).toBeUndefined()
    expect(ledger.asked).toBe(2)
    await settled()
    for (let taken = 0; taken < 10; taken++) expect(budget.take(NAME)).toBeUndefined()
    expect(ledger.asked).toBe(3)
  })

  it('are leased once for all who wait', async () => {
    ledger.held = true
    const budget = budgetOf()
    const takers = Array.from({ length: 8 }, () => codeOf(budget.take(NAME)))
    await settled()
    expect(ledger.asked).toBe(1)
    ledger.held = false
    ledger.release()
    expect(await Promise.all(takers)).toEqual(Array.from({ length: 8 }, () => 'taken'))
    expect(ledger.leased).toBeLessThanOrEqual(16)
  })

  it('are leased as often as it takes where more wait than a block holds', async () => {
    const budget = budgetOf()
    const codes = await Promise.all(Array.from({ length: 120 }, () => codeOf(budget.take(NAME))))
    expect(codes.filter((code) => code === 'taken')).toHaveLength(100)
    expect(codes.filter((code) => code === 'KEY_EXHAUSTED')).toHaveLength(20)
    expect(budget.counts.refusals).toBe(20)
  })

  it('are not taken where the store cannot be asked, and are once it can', async () => {
    ledger.failWith = AWAY
    const budget = budgetOf()
    expect(await codeOf(budget.take(NAME))).toBe('STORE_UNAVAILABLE')
    ledger.failWith = undefined
    expect(await codeOf(budget.take(NAME))).toBe('taken')
  })

  it('last as long as the block when the store goes away, then the store is named', async () => {
    const budget = budgetOf()
    await budget.take(NAME)
    ledger.failWith = AWAY
    for (let taken = 1; taken < 8; taken++) {
      expect(budget.take(NAME)).toBeUndefined()
      await settled()
    }
    expect(ledger.asked).toBe(2)
    expect(await codeOf(budget.take(NAME))).toBe('STORE_UNAVAILABLE')
    expect(logged.filter((line) => line.startsWith('cannot lease'))).toHaveLength(1)
    expect(budget.counts.leasesFailed).toBe(2)
  })

  it('are asked for ahead again a second after that failed', async () => {
    const budget = budgetOf()
    await budget.take(NAME)
    ledger.failWith = AWAY
    for (let taken = 1; taken < 7; taken++) void budget.take(NAME)
    await settled()
    ledger.failWith = undefined
    nowMs += 1_000
    expect(budget.take(NAME)).toBeUndefined()
    await settled()
    expect(budget.take(NAME)).toBeUndefined()
  })

  it('end at the bound, and the store is asked no more', async () => {
    const budget = budgetOf()
    expect(await takeAll(budget)).toEqual([100, 'KEY_EXHAUSTED'])
    const { asked } = ledger
    expect(await codeOf(budget.take(NAME))).toBe('KEY_EXHAUSTED')
    expect(ledger.asked).toBe(asked)
  })

  it('are not had again by starting anew or by setting the clock', async () => {
    await takeAll(budgetOf())
    for (const time of [0, Number.MAX_SAFE_INTEGER]) {
      nowMs = time
      expect(await takeAll(budgetOf())).toEqual([0, 'KEY_EXHAUSTED'])
    }
    expect(await takeAll(budgetOf({ leaseInvocations: 1 }))).toEqual([0, 'KEY_EXHAUSTED'])
  })

  it('are never more than AES-GCM allows, whatever the settings ask', () => {
    expect(() => budgetOf({ invocationsMax: COUNTED_INVOCATIONS_MAX + 1 })).toThrow('invocationsMax')
    expect(COUNTED_INVOCATIONS_MAX).toBe(2 ** 32 - 2 ** 28)
  })

  it('of a version that is idle for days are given up; those of one in use are kept', async () => {
    const budget = budgetOf({ invocationsMax: 1000 })
    const other = () => ({ keyId: NAME.keyId, versionId: randomUUID() })
    const day = async () => {
      nowMs += 86_400_000
      await budget.take(other())
    }
    const idle = other()
    await budget.take(idle)
    await budget.take(NAME)
    await day()
    expect(budget.take(NAME)).toBeUndefined()
    await day()
    expect(budget.take(NAME)).toBeUndefined()
    expect(budget.take(idle)).toBeInstanceOf(Promise)
  })
})

describe('what is said of a version', () => {
  it('it is due for rotation from its mark on, at each lease', async () => {
    const budget = budgetOf()
    await takeAll(budget, 32)
    expect(due).toBe(0)
    await takeAll(budget, 15)
    expect(due).toBe(1)
    await takeAll(budget)
    expect(due).toBeGreaterThan(3)
  })

  it('it is due with the very lease that reaches its mark', async () => {
    const budget = budgetOf({ rotateAt: 16 })
    await takeAll(budget, 5)
    expect([ledger.leased, due]).toEqual([8, 0])
    await takeAll(budget, 1)
    await settled()
    expect([ledger.leased, due]).toEqual([16, 1])
  })

  it('that it is near its bound, and that it is spent, each once over all processes', async () => {
    const [a, b] = [budgetOf(), budgetOf()]
    for (let round = 0; round < 60; round++) for (const budget of [a, b]) await codeOf(budget.take(NAME))
    expect(logged.filter((line) => line.includes('near its bound'))).toHaveLength(1)
    expect(logged.filter((line) => line.includes('last GCM invocations')).length).toBeGreaterThan(0)
  })
})

describe('processes that share a ledger', () => {
  it('take no invocation twice and none past the bound, however takes, leases, outages and crashes interleave', async () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.record({ do: fc.constant('take' as const), who: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), who: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), who: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('outage' as const), who: fc.constant(0) }) },
    )
    const settings = fc.record({
      invocationsMax: fc.integer({ min: 2, max: 120 }),
      leaseInvocations: fc.integer({ min: 1, max: 20 }),
    })
    let reached = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 60, maxLength: 300, size: 'max' }),
        settings,
        async (steps, gcm) => {
          ledger = new ManualLedger()
          const processes = Array.from({ length: 4 }, () => budgetOf({ ...gcm, rotateAt: 1 }))
          let taken = 0
          const pending: Promise<unknown>[] = []
          for (const { do: what, who } of steps) {
            if (what === 'take') {
              const outcome = processes[who]?.take(NAME)
              if (outcome === undefined) taken += 1
              else pending.push(outcome.then(() => (taken += 1)).catch(() => undefined))
            }
            // What a dead process was promised may still be counted here, which only makes the test stricter.
            if (what === 'crash') processes[who] = budgetOf({ ...gcm, rotateAt: 1 })
            if (what === 'outage') ledger.failWith = ledger.failWith ? undefined : AWAY
            if (what === 'settle') await settled()
            expect(taken).toBeLessThanOrEqual(ledger.leased)
          }
          await Promise.all(pending)
          expect(taken).toBeLessThanOrEqual(ledger.leased)
          expect(ledger.leased).toBeLessThanOrEqual(gcm.invocationsMax)
          if (ledger.leased === gcm.invocationsMax) reached += 1
        },
      ),
      { numRuns: 200 },
    )
    expect(reached).toBeGreaterThan(20)
  })
})
