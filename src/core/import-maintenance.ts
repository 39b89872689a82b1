import { isKmsError } from './errors.ts'
import { destroying, hasExpired } from './imported-material.ts'
import type { KeyVersion, MasterKey } from './key.ts'
import {
  destroyMaterial,
  IMPORTING_MS_MAX,
  isSameImport,
  type MaterialDeps,
  moveMaterial,
  placeOf,
} from './ops/move-material.ts'
import type { ImportPair, ImportStore } from './ports/import-store.ts'
import type { KeyPlace } from './ports/key-store.ts'
import { TokenFailures } from './token-failures.ts'

const PAGE_ROWS = 100
const TOKEN_CALL_TIMEOUT_MS = 10_000
/** A pair that is in the making for so long was given up: its calls of the token end before. */
const PAIR_MAKING_MS_MAX = 900_000
/** So long after its end an import token is still told to have expired; after that it is not known any more. */
const ENDED_KEPT_MS = 7 * 86_400_000

export interface ImportMaintenanceLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

export interface ImportMaintenanceDeps extends MaterialDeps {
  readonly imports: ImportStore
  readonly log: ImportMaintenanceLog
}

/**
 * What time does to imported material and to the key pairs that it is wrapped for: material that has expired is destroyed, imports
 * and deletions that were cut short are ended, and so are key pairs when their import tokens do. In any number of processes: every
 * step is claimed in a row first, and destroying twice is no harm.
 */
export class ImportMaintenance {
  readonly #deps: ImportMaintenanceDeps

  constructor(deps: ImportMaintenanceDeps) {
    this.#deps = deps
  }

  /**
   * One round.
   *
   * @param signal - Ends the round after the key in hand.
   * @throws {@link KmsError} `STORE_UNAVAILABLE`
   */
  async run(signal?: AbortSignal): Promise<void> {
    await this.#tendKeys(signal)
    await this.#tendPairs(signal)
  }

  async #tendKeys(signal: AbortSignal | undefined): Promise<void> {
    const now = this.#deps.clock.now()
    const when = { expiresBy: now, begunBy: now - IMPORTING_MS_MAX }
    const tokens = new TokenFailures()
    let after: KeyPlace | undefined
    for (;;) {
      const page = await this.#deps.store.listKeysWithMaterialToEnd(when, { after, limit: PAGE_ROWS })
      for (const key of page) {
        if (signal?.aborted === true) return
        const isAway = tokens.isAway(key.token)
        const fields = { keyId: key.keyId, token: key.token }
        const answered = await this.#guard(fields, () => this.#tendKey(key, when, isAway))
        if (!isAway) tokens.count(key.token, answered)
      }
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return
      after = { region: last.region, keyId: last.keyId }
    }
  }

  /** @param isAway - The token does not answer: what has expired is of no use from now on all the same, and is destroyed later. */
  async #tendKey(
    key: MasterKey,
    when: { readonly expiresBy: number; readonly begunBy: number },
    isAway: boolean,
  ): Promise<void> {
    for (const version of key.versions) {
      const { imported } = version
      if (!imported) continue
      const expired = hasExpired(imported, when.expiresBy)
      const cut = imported.state === 'Importing' && imported.since <= when.begunBy
      const due = imported.state === 'Destroying' && imported.since <= when.begunBy
      if (expired || cut) await this.#end(key, version, expired, isAway)
      else if (due && !isAway) await destroyMaterial(this.#deps, key, version)
    }
  }

  async #end(key: MasterKey, version: KeyVersion, expired: boolean, isAway: boolean): Promise<void> {
    const { log, clock } = this.#deps
    const { keyId } = key
    const seen = version.imported
    const claimed = await moveMaterial(this.#deps, placeOf(key, version), (imported) =>
      imported.state === seen?.state &&
      isSameImport(imported, version) &&
      imported.since === seen.since &&
      imported.expiresAt === seen.expiresAt
        ? destroying(imported, clock.now())
        : undefined,
    )
    if (!claimed || isAway) return
    await destroyMaterial(this.#deps, key, version)
    const message = expired
      ? 'destroyed imported material that has expired'
      : 'undid an import that was cut short'
    log.info({ keyId, token: key.token, versionId: version.versionId }, message)
  }

  async #tendPairs(signal: AbortSignal | undefined): Promise<void> {
    const now = this.#deps.clock.now()
    const when = { expiresBy: now, begunBy: now - PAIR_MAKING_MS_MAX, endedBy: now - ENDED_KEPT_MS }
    const tokens = new TokenFailures()
    let after: string | undefined
    for (;;) {
      const page = await this.#deps.imports.listImportPairsToEnd(when, { after, limit: PAGE_ROWS })
      for (const pair of page) {
        if (signal?.aborted === true) return
        if (tokens.isAway(pair.token)) continue
        tokens.count(
          pair.token,
          await this.#guard({ pairId: pair.pairId, token: pair.token }, () => this.#tendPair(pair)),
        )
      }
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return
      after = last.pairId
    }
  }

  /** The row of a pair that has ended stays for a while, so that its import token is known. */
  async #tendPair(pair: ImportPair): Promise<void> {
    const { imports, provider } = this.#deps
    const { pairId, token, state } = pair
    if (state !== 'Ended') {
      await provider.destroyImportPair({ token, pairId }, { deadlineAt: Date.now() + TOKEN_CALL_TIMEOUT_MS })
      await imports.moveImportPair(pairId, state, 'Ended')
    } else await imports.deleteImportPair(pairId)
  }

  /** @returns Whether the token answered. */
  async #guard(fields: Readonly<Record<string, unknown>>, tend: () => Promise<void>): Promise<boolean> {
    try {
      await tend()
      return true
    } catch (error) {
      this.#deps.log.warn(
        { ...fields, err: error },
        'could not tend imported material; the next round tries again',
      )
      return !isKmsError(error, 'TOKEN_UNAVAILABLE') && !isKmsError(error, 'TOKEN_TIMEOUT')
    }
  }
}
