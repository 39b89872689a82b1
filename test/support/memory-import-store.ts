import { KmsError } from '../../src/core/errors.ts'
import type { ImportPair, ImportStore } from '../../src/core/ports/import-store.ts'
import type { PageRequest } from '../../src/core/ports/key-store.ts'
import { checkImportPair, checkPage, checkTime } from '../../src/store/check.ts'
import { cut } from './memory-pages.ts'

/** The {@link ImportStore} contract in memory. */
export class MemoryImportStore implements ImportStore {
  readonly #pairs = new Map<string, ImportPair>()
  readonly #requireOpen: () => void

  constructor(requireOpen: () => void) {
    this.#requireOpen = requireOpen
  }

  async createImportPair(pair: ImportPair): Promise<void> {
    this.#requireOpen()
    checkImportPair(pair)
    if (this.#pairs.has(pair.pairId))
      throw new KmsError('ALREADY_EXISTS', 'There is an import pair of this id.', {})
    this.#pairs.set(pair.pairId, { ...pair })
  }

  async getImportPair(pairId: string): Promise<ImportPair | undefined> {
    this.#requireOpen()
    return this.#pairs.get(pairId)
  }

  async moveImportPair(pairId: string, from: ImportPair['state'], to: ImportPair['state']): Promise<boolean> {
    this.#requireOpen()
    const pair = this.#pairs.get(pairId)
    if (pair?.state !== from) return false
    this.#pairs.set(pairId, { ...pair, state: to })
    return true
  }

  async deleteImportPair(pairId: string): Promise<void> {
    this.#requireOpen()
    this.#pairs.delete(pairId)
  }

  async listImportPairsToEnd(
    when: { readonly expiresBy: number; readonly begunBy: number; readonly endedBy: number },
    { after, limit }: PageRequest<string>,
  ): Promise<ImportPair[]> {
    this.#requireOpen()
    checkPage(limit, after ?? '')
    for (const time of Object.values(when)) checkTime(time)
    const due = ({ state, expiresAt, createdAt }: ImportPair) =>
      state === 'Ended'
        ? expiresAt <= when.endedBy
        : expiresAt <= when.expiresBy || (state === 'Making' && createdAt <= when.begunBy)
    const path = after === undefined ? undefined : [after]
    return cut([...this.#pairs.values()].filter(due), ({ pairId }) => [pairId], path, limit)
  }

  async countImportPairs(region: string, keyId: string): Promise<number> {
    this.#requireOpen()
    const ofKey = [...this.#pairs.values()].filter((pair) => pair.region === region && pair.keyId === keyId)
    return ofKey.filter(({ state }) => state !== 'Ended').length
  }
}
