import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { InvocationBlock } from '../../src/core/ports/invocation-ledger.ts'
import { acquireInstanceLock } from '../../src/store/instance-lock.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { ACCOUNT, next, REGION, rotated, sampleAlias, sampleKey } from '../support/key-store-samples.ts'

const RACER = fileURLToPath(new URL('key-store.racer.ts', import.meta.url))
const { directory, nextPath } = storeFolder()
const children = new Set<ChildProcess>()
let path = ''
beforeEach(() => {
  path = nextPath()
})
afterEach(async () => {
  for (const child of children) await kill(child)
})

function start(...task: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ['--expose-gc', RACER, ...task], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  children.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** The lines that a child tells, up to `count` of them. */
async function lines(child: ChildProcess, count: number): Promise<string[]> {
  const told: string[] = []
  if (!child.stdout) return told
  for await (const line of createInterface({ input: child.stdout })) if (told.push(line) >= count) break
  return told
}

describe('one SQLite store, several processes', () => {
  it('STO-21 processes that change one key win one revision each', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    const racers = [1, 2, 3].map(() => start('race', path, REGION, key.keyId, '40'))
    const told = (await Promise.all(racers.map((racer) => lines(racer, 1)))).flat()
    const scores = told.map((line) => JSON.parse(line) as { won: number; lost: number })
    const after = await store.getKey(REGION, key.keyId)
    await store.close()
    expect(scores.map(({ won }) => won)).toStrictEqual([40, 40, 40])
    expect(scores.reduce((sum, { lost }) => sum + lost, 0)).toBeGreaterThan(0)
    expect(after?.revision).toBe(121)
    expect(after?.versions).toHaveLength(121)
  })

  it('STO-21 of two connections that change one revision, exactly one wins', async () => {
    const [a, b] = [await openSqliteStore({ path }), await openSqliteStore({ path })]
    let key = sampleKey()
    await a.createKey(key)
    for (let round = 0; round < 20; round++) {
      const [one, two] = [rotated(key), rotated(key)]
      const stored = await Promise.all([a.replaceKey(one), b.replaceKey(two)])
      expect(stored.filter(Boolean)).toHaveLength(1)
      key = stored[0] ? one : two
      expect(await b.getKey(REGION, key.keyId)).toStrictEqual(key)
    }
    await Promise.all([a.close(), b.close()])
  })

  it('STO-8 a key that one connection deletes gets no alias from another', async () => {
    const [a, b] = [await openSqliteStore({ path }), await openSqliteStore({ path })]
    const other = sampleKey()
    await a.createKey(other)
    await a.createAlias(sampleAlias(other, 'alias/moving'))
    let late = 0
    for (let round = 0; round < 40; round++) {
      const key = sampleKey()
      await a.createKey(key)
      const deleting = () => a.replaceKey(next(key, { state: 'Deleted' }))
      const naming = () => b.createAlias(sampleAlias(key, `alias/${round}`))
      const moving = () => b.updateAlias(sampleAlias(key, 'alias/moving'))
      const asked = round % 2 ? [deleting, naming, moving] : [naming, moving, deleting]
      const ended = await Promise.allSettled(asked.map((ask) => ask()))
      late += ended.filter(({ status }) => status === 'rejected').length
      expect(await a.listAliases(ACCOUNT, REGION, key.keyId, { limit: 9 })).toStrictEqual([])
      await a.createAlias(sampleAlias(other, 'alias/moving')).catch(() => undefined)
    }
    expect(late).toBeGreaterThan(0)
    await Promise.all([a.close(), b.close()])
  })

  it('STO-1, STO-2 whatever a killed process was told is stored is there, and whole', async () => {
    const creator = start('create', path)
    const told = await lines(creator, 50)
    await kill(creator)
    const store = await openSqliteStore({ path })
    for (const keyId of told) {
      const key = await store.getKey(REGION, keyId)
      expect([key?.state, key?.revision, key?.versions.length]).toStrictEqual(['Disabled', 3, 2])
    }
    for (const state of ['Enabled', 'Disabled'] as const)
      for (const key of await store.listKeysInState(state, { limit: 1000 }))
        expect(key.versions).toHaveLength(2)
    await store.close()
  })

  it('STO-28 processes that lease invocations of one version share none, a killed one included', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    const max = 600
    const racers = [1, 2, 3].map(() => start('lease', path, REGION, key.keyId, String(max)))
    const [victim, ...others] = racers
    if (!victim) throw new Error('nobody leases')
    // Killed with a block that it was told of, most likely inside of the next lease.
    const killed = lines(victim, 20).then(async (told) => {
      await kill(victim)
      return told
    })
    const told = (await Promise.all([killed, ...others.map((racer) => lines(racer, max))])).flat()
    const blocks = told.map((line) => JSON.parse(line) as InvocationBlock)
    const numbers = blocks.flatMap(({ first, count }) => Array.from({ length: count }, (_, n) => first + n))
    expect(new Set(numbers).size).toBe(numbers.length)
    expect(Math.max(...numbers)).toBeLessThan(max)
    expect(blocks.filter(({ first, count }) => first === max && count === 0)).toHaveLength(others.length)
    expect(await store.leaseInvocations(key.primaryVersionId, 1, max)).toStrictEqual({ first: max, count: 0 })
    await store.close()
  })

  it('STO-28 processes that take invocations one by one never take more than were leased, nor than there are', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    const [max, block, killed] = [800, 16, 3]
    const task = ['seal', path, REGION, key.keyId, String(max)]
    let taken = 0
    for (let round = 0; round < killed; round++) {
      // Killed between a lease and the use of it: 40 is inside of its third block.
      const victim = start(...task)
      taken += (await lines(victim, 40)).length
      await kill(victim)
    }
    const racers = [1, 2, 3].map(() => start(...task))
    const told = (await Promise.all(racers.map((racer) => lines(racer, 2 * max)))).flat()
    const ended = told.filter((line) => line !== 'taken')
    taken += told.length - ended.length
    expect(ended).toHaveLength(racers.length)
    for (const line of ended) expect(line).toContain('as often as AES-GCM allows')
    expect(taken).toBeLessThanOrEqual(max)
    // A victim takes on while its lines are read, and loses at most the block in use and the one ahead.
    expect(taken).toBeGreaterThan(max / 2 - killed * 2 * block)
    expect(await store.leaseInvocations(key.primaryVersionId, 1, max)).toStrictEqual({ first: max, count: 0 })
    await store.close()
  })

  it('STO-37 the instance lock is refused while another process holds it, and free once that is killed', async () => {
    const holder = start('lock', path)
    expect(await lines(holder, 1)).toStrictEqual(['held'])
    const before = performance.now()
    await expect(acquireInstanceLock(path)).rejects.toMatchObject({
      name: 'StoreOpenError',
      problems: [{ code: 'STORE_IN_USE', hint: expect.stringContaining(`${path}.lock`) }],
    })
    expect(performance.now() - before).toBeLessThan(1_000)
    await kill(holder)
    const lock = await acquireInstanceLock(path)
    await lock.release()
  })

  it('STO-37 the instance lock is one within a process too, and another process sees its release', async () => {
    const lock = await acquireInstanceLock(path)
    await expect(acquireInstanceLock(path)).rejects.toMatchObject({ problems: [{ code: 'STORE_IN_USE' }] })
    // The refused attempt must not have dropped the first one's lock: closing a file drops a process's POSIX locks.
    const refused = spawn(process.execPath, [RACER, 'lock', path], { stdio: 'ignore' })
    expect(await once(refused, 'exit')).toStrictEqual([1, null])
    await lock.release()
    await lock.release()
    const holder = start('lock', path)
    expect(await lines(holder, 1)).toStrictEqual(['held'])
  })

  it('STO-32 a directory that may not be searched is named', () => {
    const hidden = join(directory, 'hidden')
    mkdirSync(join(hidden, 'inner'), { recursive: true })
    chmodSync(directory, 0o755)
    chmodSync(hidden, 0o000)
    const task = ['open', join(hidden, 'inner', 'p11kms.db')]
    const child = spawnSync(process.execPath, [RACER, ...task], { encoding: 'utf8' })
    chmodSync(hidden, 0o700)
    expect(child.stdout.trim(), child.stderr).toBe('PATH_NOT_ACCESSIBLE')
  })

  it('STO-32 a read-only directory and a read-only file in it are both named', () => {
    const closed = join(directory, 'closed')
    mkdirSync(closed)
    writeFileSync(join(closed, 'p11kms.db'), '', { mode: 0o444 })
    for (const readable of [directory, closed]) chmodSync(readable, 0o555)
    const task = ['open', join(closed, 'p11kms.db')]
    const child = spawnSync(process.execPath, [RACER, ...task], { encoding: 'utf8' })
    for (const own of [directory, closed]) chmodSync(own, 0o700)
    expect(child.stdout.trim(), child.stderr).toBe('DIRECTORY_NOT_WRITABLE,FILE_NOT_ACCESSIBLE')
  })
})
