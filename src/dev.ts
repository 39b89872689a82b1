import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { SEED_VARIABLE } from './config/load.ts'
import { acquireInstanceLock } from './store/instance-lock.ts'
import { StoreOpenError } from './store/store-open-error.ts'

const PREFIX = 'p11kms-dev-'
/** In each folder, held by the process that it belongs to. */
const LOCK = 'dev'
/** A younger folder may be of a process that has not come to its lock. */
const LEFT_OVER_MS_MIN = 60_000

/** A folder that goes with this process. */
export interface DevFolder {
  readonly path: string
  remove(): Promise<void>
}

/** Makes a temporary folder, and removes those that earlier processes left which were killed. */
export async function openDevFolder(
  log: Pick<Logger, 'info' | 'warn'>,
  parent = tmpdir(),
): Promise<DevFolder> {
  await removeLeftOvers(parent, log)
  const path = mkdtempSync(join(parent, PREFIX))
  const lock = await acquireInstanceLock(join(path, LOCK))
  return {
    path,
    remove: async () => {
      rmSync(path, { recursive: true, force: true })
      await lock.release()
    },
  }
}

/** The environment of a gateway that is to leave nothing behind. */
export function devEnvironment(environment: NodeJS.ProcessEnv, seed: string | undefined): NodeJS.ProcessEnv {
  const { P11KMS_STORE_PATH: _, ...kept } = environment
  return seed === undefined ? kept : { ...kept, [SEED_VARIABLE]: resolve(seed) }
}

async function removeLeftOvers(parent: string, log: Pick<Logger, 'info' | 'warn'>): Promise<void> {
  for (const name of readdirSync(parent).filter((one) => one.startsWith(PREFIX))) {
    const path = join(parent, name)
    try {
      if (!isOldAndOurs(path) || !(await isAbandoned(path))) continue
      rmSync(path, { recursive: true, force: true })
      log.info({ folder: path }, 'removed what a process left that was killed')
    } catch (error) {
      log.warn({ folder: path, err: error }, 'could not remove what an earlier process left')
    }
  }
}

/** Folders of others, and links to anywhere, are nothing of ours. */
function isOldAndOurs(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat?.isDirectory() || stat.uid !== (process.geteuid?.() ?? stat.uid)) return false
  return Date.now() - stat.mtimeMs > LEFT_OVER_MS_MIN
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const lock = await acquireInstanceLock(join(path, LOCK))
    await lock.release()
    return true
  } catch (error) {
    if (error instanceof StoreOpenError) return false
    throw error
  }
}
