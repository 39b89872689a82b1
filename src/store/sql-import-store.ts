import { KmsError } from '../core/errors.ts'
import type { ImportPair, ImportStore } from '../core/ports/import-store.ts'
import type { PageRequest } from '../core/ports/key-store.ts'
import { checkImportPair, checkPage, checkTime, isStorableText } from './check.ts'
import * as imports from './import-queries.ts'
import type { StoreRunner } from './sql-access-store.ts'

const unique = () => new KmsError('ALREADY_EXISTS', 'An import pair of this id exists already.', {})

/** The {@link ImportStore} over the tables of a key store. */
export class SqlImportStore implements ImportStore {
  readonly #store: StoreRunner

  constructor(store: StoreRunner) {
    this.#store = store
  }

  async createImportPair(pair: ImportPair): Promise<void> {
    checkImportPair(pair)
    await this.#store.change((db) => imports.insertImportPair(db, pair), { unique: unique })
  }

  async getImportPair(pairId: string): Promise<ImportPair | undefined> {
    if (!isStorableText(pairId)) return undefined
    return this.#store.run((db) => imports.selectImportPair(db, pairId))
  }

  async moveImportPair(pairId: string, from: ImportPair['state'], to: ImportPair['state']): Promise<boolean> {
    if (!isStorableText(pairId)) return false
    return this.#store.run((db) => imports.updateImportPair(db, pairId, from, to))
  }

  async deleteImportPair(pairId: string): Promise<void> {
    if (!isStorableText(pairId)) return
    await this.#store.run((db) => imports.removeImportPair(db, pairId))
  }

  async listImportPairsToEnd(
    when: { readonly expiresBy: number; readonly begunBy: number; readonly endedBy: number },
    page: PageRequest<string>,
  ): Promise<readonly ImportPair[]> {
    checkPage(page.limit, page.after ?? '')
    for (const time of Object.values(when)) checkTime(time)
    return this.#store.run((db) => imports.selectImportPairsToEnd(db, when, page))
  }

  async countImportPairs(region: string, keyId: string): Promise<number> {
    if (![region, keyId].every(isStorableText)) return 0
    return this.#store.run((db) => imports.countPairsOfKey(db, region, keyId))
  }
}
