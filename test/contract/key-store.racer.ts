/**
 * A process of its own on a store: `race <path> <region> <keyId> <wins>` changes one key until it has won so often,
 * `create <path>` makes keys until it is killed, `lease <path> <region> <keyId> <max>` leases invocations until none is left,
 * `seal <path> <region> <keyId> <max>` takes them one by one as a gateway does, `pair <path>` begins a key pair that never ends, `lock <path>` holds the instance lock, `open <path>` says what keeps
 * it, as a user without privileges, from opening the store. Tells on stdout.
 */
import { GcmBudget } from '../../src/core/gcm-budget.ts'
import { PairGate } from '../../src/core/pair-gate.ts'
import { SYSTEM_CLOCK } from '../../src/lib/clock.ts'
import { acquireInstanceLock } from '../../src/store/instance-lock.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { StoreOpenError } from '../../src/store/store-open-error.ts'
import { next, rotated, sampleKey } from '../support/key-store-samples.ts'

const [task, path = '', region = '', keyId = '', wins = '0'] = process.argv.slice(2)
const tell = (line: string) => process.stdout.write(`${line}\n`)

if (task === 'open') {
  giveUpRoot()
  await openSqliteStore({ path }).catch((error: unknown) => {
    tell(error instanceof StoreOpenError ? error.problems.map(({ code }) => code).join() : String(error))
  })
}
if (task === 'lock') {
  await acquireInstanceLock(path)
  // Nobody here refers to the lock: it must outlive the garbage collector all the same.
  for (let round = 0; round < 10; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  tell('held')
  setInterval(() => undefined, 60_000)
}
if (task === 'create') {
  const store = await openSqliteStore({ path })
  for (;;) {
    const key = rotated(sampleKey())
    await store.createKey(key)
    await store.replaceKey(next(key, { state: 'Disabled' }))
    tell(key.keyId)
  }
}
if (task === 'lease') {
  const store = await openSqliteStore({ path, busyTimeoutMs: 15_000 })
  const versionId = (await store.getKey(region, keyId))?.primaryVersionId ?? ''
  for (;;) {
    const block = await store.leaseInvocations(versionId, 3, Number(wins))
    tell(JSON.stringify(block))
    if (block.count === 0) break
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await store.close()
}
if (task === 'seal') {
  const store = await openSqliteStore({ path, busyTimeoutMs: 15_000 })
  const versionId = (await store.getKey(region, keyId))?.primaryVersionId ?? ''
  const quiet = { warn: () => undefined, error: () => undefined }
  const settings = { invocationsMax: Number(wins), leaseInvocations: 16, rotateAt: 1 }
  const budget = new GcmBudget({ ledger: store, clock: SYSTEM_CLOCK, log: quiet, settings })
  for (let taken = true; taken; await new Promise((resolve) => setTimeout(resolve, 1))) {
    const outcome = await Promise.resolve(budget.take({ keyId, versionId })).then(() => 'taken', String)
    tell(outcome)
    taken = outcome === 'taken'
  }
  await store.close()
}
if (task === 'pair') {
  const store = await openSqliteStore({ path })
  const newId = () => `holder-${process.pid}`
  const gate = new PairGate({ leases: store, clock: SYSTEM_CLOCK, newId, pairTimeoutMs: () => 0 })
  void gate.use({ token: 'main', accountId: '111122223333' }, 0, (deadlineAt) => {
    tell(String(deadlineAt))
    return new Promise(() => undefined)
  })
  setInterval(() => undefined, 60_000)
}
if (task === 'race') {
  const store = await openSqliteStore({ path, busyTimeoutMs: 15_000 })
  let [won, lost] = [0, 0]
  while (won < Number(wins)) {
    const key = await store.getKey(region, keyId)
    if (!key) throw new Error('the key is gone')
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (await store.replaceKey(rotated(key))) won += 1
    else lost += 1
  }
  await store.close()
  tell(JSON.stringify({ won, lost }))
}

/**
 * Root may write everywhere, so that no mode stops it. Given up here rather than by the parent: this program is loaded
 * by now, and the user that it becomes need not be able to read the checkout.
 */
function giveUpRoot(): void {
  const nobody = 65_534
  if (process.getuid?.() !== 0) return
  process.setgroups?.([])
  process.setgid?.(nobody)
  process.setuid?.(nobody)
}
