import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { acquireInstanceLock, watchInstanceLock } from '../../src/store/instance-lock.ts'
import type { SqlKeyStore } from '../../src/store/sql-key-store.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { next, REGION, sampleKey } from '../support/key-store-samples.ts'

const { nextPath } = storeFolder()
let path = ''
beforeEach(() => {
  const folder = nextPath()
  mkdirSync(folder)
  path = join(folder, 'p11kms.db')
})

const lost = (code: string) => ({
  code: 'STORE_UNAVAILABLE',
  message: 'The key store is not available.',
  cause: { code, hint: expect.stringMatching(/\.$/) },
})

/** Puts a new, whole file in the place of another, as `cp` and `mv` do. */
function replace(file: string, source: string): void {
  copyFileSync(source, `${file}.new`)
  renameSync(`${file}.new`, file)
}

async function backupWith(keyId: string): Promise<string> {
  const backup = `${path}.backup`
  const store = await openSqliteStore({ path: backup })
  await store.createKey(sampleKey({ keyId }))
  await store.close()
  return backup
}

async function expectLost(store: SqlKeyStore, code: string): Promise<void> {
  const key = sampleKey()
  await expect(store.createKey(key)).rejects.toMatchObject(lost(code))
  await expect(store.ping()).rejects.toMatchObject(lost(code))
  await expect(store.replaceKey(next(key))).rejects.toMatchObject(lost(code))
  await expect(store.deleteAlias('1', REGION, 'alias/a')).rejects.toMatchObject(lost(code))
  await expect(store.getKey(REGION, key.keyId)).rejects.toMatchObject(lost(code))
}

describe('a SQLite store whose files are taken away while it serves', () => {
  it.each(['noticed', 'not noticed'])(
    'STO-38, STO-39 a replaced database gets nothing of the old one, %s before the process stops',
    async (when) => {
      const backup = await backupWith('in-backup')
      const store = await openSqliteStore({ path })
      await store.createKey(sampleKey({ keyId: 'acknowledged' }))
      replace(path, backup)
      if (when === 'noticed') await expectLost(store, 'STORE_FILE_REPLACED')
      expect(readFileSync(path).equals(readFileSync(backup))).toBe(true)
      await store.close()
      expect(existsSync(`${path}-wal`)).toBe(false)
      const kept = readdirSync(dirname(path)).filter((name) => name.includes('-wal.of-replaced-store-'))
      expect(kept).toHaveLength(1)
      const restored = await openSqliteStore({ path })
      expect(await restored.getKey(REGION, 'in-backup')).toBeDefined()
      expect(await restored.getKey(REGION, 'acknowledged')).toBeUndefined()
      await restored.close()
    },
  )

  it('STO-39 the old database and the log that was kept are whole when they are put back', async () => {
    const backup = await backupWith('in-backup')
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    renameSync(path, `${path}.old`)
    replace(path, backup)
    await expectLost(store, 'STORE_FILE_REPLACED')
    await store.close()
    const kept = readdirSync(dirname(path)).find((name) => name.includes('-wal.of-replaced-store-')) ?? ''
    renameSync(`${path}.old`, path)
    renameSync(join(dirname(path), kept), `${path}-wal`)
    const again = await openSqliteStore({ path })
    expect(await again.getKey(REGION, key.keyId)).toStrictEqual(key)
    await again.close()
  })

  it('STO-38 a replacement in the middle of a change is noticed before that is acknowledged', async () => {
    const backup = await backupWith('in-backup')
    const store = await openSqliteStore({ path })
    const creating = store.createKey(sampleKey())
    replace(path, backup)
    await expect(creating).rejects.toMatchObject(lost('STORE_FILE_REPLACED'))
    await store.close()
  })

  it('STO-38, STO-39 a database that is moved away, is lost for good to this process and whole to the next', async () => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    renameSync(path, `${path}.away`)
    await expectLost(store, 'STORE_FILE_REMOVED')
    renameSync(`${path}.away`, path)
    await expectLost(store, 'STORE_FILE_REMOVED')
    await store.close()
    const again = await openSqliteStore({ path })
    expect(await again.getKey(REGION, key.keyId)).toStrictEqual(key)
    await again.close()
  })

  it.each(['-wal', '-shm'])('STO-38, STO-39 the %s file is removed, and nothing is lost', async (end) => {
    const key = sampleKey()
    const store = await openSqliteStore({ path })
    await store.createKey(key)
    rmSync(path + end)
    await expectLost(store, 'STORE_FILE_REMOVED')
    await store.close()
    const again = await openSqliteStore({ path })
    expect(await again.getKey(REGION, key.keyId)).toStrictEqual(key)
    await again.close()
  })

  it('STO-38 a symbolic link that comes to lead elsewhere is a file that was replaced', async () => {
    const backup = await backupWith('in-backup')
    const link = `${path}.link`
    symlinkSync('p11kms.db', link)
    await (await openSqliteStore({ path })).close()
    const store = await openSqliteStore({ path: link })
    await store.ping()
    rmSync(link)
    symlinkSync(basename(backup), link)
    await expectLost(store, 'STORE_FILE_REPLACED')
    await store.close()
  })

  it.each([
    ['removed', (lockPath: string) => rmSync(lockPath)],
    ['replaced', (lockPath: string) => (rmSync(lockPath), writeFileSync(lockPath, '', { mode: 0o600 }))],
  ])('STO-38 a lock file that was %s ends the service', async (_, spoil) => {
    const lock = await acquireInstanceLock(path)
    const store = await openSqliteStore({ path, lock })
    await store.ping()
    spoil(`${path}.lock`)
    await expectLost(store, 'STORE_LOCK_LOST')
    await store.close()
    await lock.release()
  })

  it('STO-38 a process that serves under the lock of another notices that it is lost', async () => {
    const lock = await acquireInstanceLock(path)
    const store = await openSqliteStore({ path, lock: watchInstanceLock(path) })
    await store.ping()
    rmSync(`${path}.lock`)
    await expectLost(store, 'STORE_LOCK_LOST')
    await store.close()
    await lock.release()
  })

  it.each(['there', 'not there yet'])(
    'STO-37 links lead to one lock, of a store that is %s',
    async (state) => {
      if (state === 'there') await (await openSqliteStore({ path })).close()
      const folder = `${dirname(path)}.link`
      symlinkSync(dirname(path), folder)
      const names = [path, join(folder, 'p11kms.db')]
      if (state === 'there') symlinkSync(path, `${path}.link`)
      if (state === 'there') names.push(`${path}.link`)
      for (const name of names) {
        const lock = await acquireInstanceLock(name)
        for (const other of names)
          await expect(acquireInstanceLock(other)).rejects.toMatchObject({
            problems: [{ code: 'STORE_IN_USE' }],
          })
        await lock.release()
      }
    },
  )

  it('STO-32 a link to nothing is refused', async () => {
    symlinkSync('nowhere.db', path)
    const refused = { name: 'StoreOpenError', problems: [{ code: 'FILE_NOT_REGULAR' }] }
    await expect(openSqliteStore({ path })).rejects.toMatchObject(refused)
    await expect(acquireInstanceLock(path)).rejects.toMatchObject(refused)
  })
})
