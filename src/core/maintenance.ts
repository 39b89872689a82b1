import type { Clock } from '../lib/clock.ts'
import { tokenRef } from './find-key.ts'
import type { KeyState, MasterKey } from './key.ts'
import type { KeyDirectory } from './key-directory.ts'
import type { CryptoProvider } from './ports/crypto-provider.ts'
import type { KeyStore } from './ports/key-store.ts'

export interface MaintenanceDeps {
  readonly store: KeyStore
  readonly provider: CryptoProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
  readonly log: MaintenanceLog
}

export interface MaintenanceLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

/** What one round did. */
export interface MaintenanceReport {
  /** Keys whose creation never ended, rolled back. */
  readonly rolledBack: number
  /** Keys whose deletion window ended, destroyed. */
  readonly destroyed: number
  /** Keys that a later round must come back to, because the token or the store failed. */
  readonly failed: number
}

const PAGE_ROWS = 100
const DESTROY_TIMEOUT_MS = 30_000

/**
 * What time does to keys: creations that were cut short are rolled back, and keys whose deletion window has ended are
 * destroyed. Both go down one road: claim the row as `Deleting` (a revision check, so one process wins and a late
 * creator loses), destroy the token objects, leave the tombstone `Deleted`, with which the key's aliases go (STO-8).
 * A round that is cut short anywhere is finished by the next.
 */
export class Maintenance {
  readonly #deps: MaintenanceDeps

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps
  }

  /**
   * One round over all keys.
   *
   * @param creatingOlderThanMs - Rows in `Creating` of this age are given up; 0 when no other process can be creating.
   */
  async run(creatingOlderThanMs: number): Promise<MaintenanceReport> {
    const now = this.#deps.clock.now()
    // First, so that what fails below is not tried twice in one round.
    const resumed = await this.#end('Deleting', () => true)
    const rolledBack = await this.#end('Creating', (key) => now - key.createdAt >= creatingOlderThanMs)
    const expired = await this.#end(
      'PendingDeletion',
      (key) => key.deletionAt !== undefined && key.deletionAt <= now,
    )
    return {
      rolledBack: rolledBack.ended,
      destroyed: expired.ended + resumed.ended,
      failed: rolledBack.failed + expired.failed + resumed.failed,
    }
  }

  async #end(state: KeyState, due: (key: MasterKey) => boolean): Promise<{ ended: number; failed: number }> {
    const count = { ended: 0, failed: 0 }
    let after: { readonly region: string; readonly keyId: string } | undefined
    for (;;) {
      const page = await this.#deps.store.listKeysInState(state, { after, limit: PAGE_ROWS })
      for (const key of page.filter(due)) {
        const outcome = await this.#endKey(key)
        if (outcome !== 'lost') count[outcome] += 1
      }
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return count
      after = { region: last.region, keyId: last.keyId }
    }
  }

  async #endKey(key: MasterKey): Promise<'ended' | 'failed' | 'lost'> {
    const fields = { keyId: key.keyId, state: key.state, token: key.token }
    try {
      const claimed = key.state === 'Deleting' ? key : await this.#claim(key)
      if (!claimed) return 'lost'
      await this.#destroyMaterial(claimed)
      await this.#replace({ ...claimed, state: 'Deleted', revision: claimed.revision + 1 })
      const told =
        key.state === 'Creating' ? 'rolled back a key whose creation never ended' : 'destroyed a key'
      this.#deps.log.info(fields, told)
      return 'ended'
    } catch (error) {
      this.#deps.log.warn({ ...fields, err: error }, 'could not end a key; the next round tries again')
      return 'failed'
    }
  }

  async #claim(key: MasterKey): Promise<MasterKey | undefined> {
    const { deletionAt: _, ...kept } = key
    const claimed: MasterKey = { ...kept, state: 'Deleting', revision: key.revision + 1 }
    return (await this.#replace(claimed)) ? claimed : undefined
  }

  async #replace(key: MasterKey): Promise<boolean> {
    const stored = await this.#deps.store.replaceKey(key)
    this.#deps.directory.forgetKey(key.region, key.keyId)
    return stored
  }

  async #destroyMaterial(key: MasterKey): Promise<void> {
    for (const version of key.versions) {
      const deadlineAt = Date.now() + DESTROY_TIMEOUT_MS
      await this.#deps.provider.destroyMasterKey(tokenRef(key, version), { deadlineAt })
    }
  }
}
