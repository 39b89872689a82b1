import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { PairGate } from '../../src/core/pair-gate.ts'
import { SYSTEM_CLOCK } from '../../src/lib/clock.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'

const RACER = fileURLToPath(new URL('key-store.racer.ts', import.meta.url))
/** What a lease lasts longer than the work under it may. */
const MARGIN_MS = 5_000
const MAIN = { token: 'main', accountId: '111122223333' }
const { nextPath } = storeFolder()

it('LEA-3 a process that is killed while it makes a pair keeps the others out until its lease ends, and no longer', async () => {
  const path = nextPath()
  const holder = spawn(process.execPath, [RACER, 'pair', path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: holder.stdout }), 'line')) as [string]
  const leaseEndsAt = Number(line) + MARGIN_MS
  const store = await openSqliteStore({ path })
  const gate = new PairGate({ leases: store, clock: SYSTEM_CLOCK, newId: randomUUID, pairTimeoutMs: () => 0 })
  const busy = { code: 'TOKEN_BUSY' }
  await expect(gate.use(MAIN, 0, async () => 'early')).rejects.toMatchObject(busy)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await expect(gate.use(MAIN, 300, async () => 'early')).rejects.toMatchObject(busy)
  expect(await gate.use({ ...MAIN, token: 'other' }, 0, async () => 'another token')).toBe('another token')
  const enteredAt = await gate.use(MAIN, 60_000, async () => Date.now())
  expect(enteredAt).toBeGreaterThanOrEqual(leaseEndsAt)
  expect(enteredAt).toBeLessThan(leaseEndsAt + 5_000)
  await store.close()
}, 90_000)
