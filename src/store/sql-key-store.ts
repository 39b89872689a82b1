import { KmsError } from '../core/errors.ts'
import type { KeyState, MasterKey } from '../core/key.ts'
import type { InvocationBlock } from '../core/ports/invocation-ledger.ts'
import type { KeyAttachments, KeyPlace, KeyStore, PageRequest, TokenUse } from '../core/ports/key-store.ts'
import type { Lease, LeaseStore } from '../core/ports/lease-store.ts'
import {
  checkCount,
  checkHolding,
  checkKey,
  checkLease,
  checkPage,
  checkReplica,
  checkTime,
  isStorableText,
} from './check.ts'
import { checkAttachments } from './check-metadata.ts'
import {
  type ClassifyFault,
  type ConstraintMeanings,
  StoreFault,
  storeAltered,
  storeUnavailable,
  translateFault,
} from './faults.ts'
import { leaseNext, selectMostLeased } from './invocation-queries.ts'
import * as keys from './key-queries.ts'
import * as walks from './key-walk-queries.ts'
import * as leases from './lease-queries.ts'
import type { StoreDb } from './schema.ts'
import { SqlAccessStore, type StoreRunner } from './sql-access-store.ts'
import { SqlImportStore } from './sql-import-store.ts'
import { SqlKeyMetadata } from './sql-key-metadata.ts'

const CLOSED_HINT = 'This process is stopping; another one will serve.'

/**
 * The {@link KeyStore} and the {@link LeaseStore} over a migrated SQL database (docs/spec/store.md). Queries are the same for every dialect; what
 * differs is `db` and how its driver's errors are read.
 */
export class SqlKeyStore extends SqlKeyMetadata implements KeyStore, LeaseStore {
  readonly #db: StoreDb
  readonly #classify: ClassifyFault
  #closed: Promise<void> | undefined
  /** Access points, their policies and client keys, of the same database. */
  readonly access: SqlAccessStore
  /** Import pairs, of the same database. */
  readonly imports: SqlImportStore

  constructor(db: StoreDb, classify: ClassifyFault) {
    super()
    this.#db = db
    this.#classify = classify
    const runner: StoreRunner = {
      run: (work) => this.#run(work),
      change: (work, meanings) => this.#change(work, meanings),
    }
    this.access = new SqlAccessStore(runner)
    this.imports = new SqlImportStore(runner)
  }

  async createKey(key: MasterKey, attachments: KeyAttachments = {}): Promise<void> {
    checkKey(key)
    checkAttachments(attachments)
    await this.#change((db) => keys.insertKey(db, key, attachments), { unique: () => keyExists(key) })
  }

  async addReplica(
    primary: MasterKey,
    replica: MasterKey,
    attachments: KeyAttachments = {},
  ): Promise<boolean> {
    for (const key of [primary, replica]) checkKey(key)
    checkAttachments(attachments)
    checkReplica(primary, replica)
    const add = async (db: StoreDb) => {
      if (!(await keys.updateKey(db, primary))) return false
      await keys.insertReplica(db, replica, attachments)
      return true
    }
    return this.#change(add, { unique: () => keyExists(replica) })
  }

  async listRegions(keyId: string): Promise<readonly MasterKey[]> {
    if (!isStorableText(keyId)) return []
    return this.#run((db) => keys.selectRegions(db, keyId))
  }

  async getKey(region: string, keyId: string): Promise<MasterKey | undefined> {
    if (![region, keyId].every(isStorableText)) return undefined
    return this.#run((db) => keys.selectKey(db, region, keyId))
  }

  async findKeyIdByVersion(versionId: string): Promise<string | undefined> {
    if (!isStorableText(versionId)) return undefined
    return this.#run((db) => keys.selectKeyIdByVersion(db, versionId))
  }

  async replaceKey(key: MasterKey): Promise<boolean> {
    checkKey(key)
    return this.#change((db) => keys.updateKey(db, key), { unique: () => keyExists(key) })
  }

  async replaceKeys(changed: readonly MasterKey[]): Promise<boolean> {
    for (const key of changed) checkKey(key)
    const replace = async (db: StoreDb) => {
      for (const key of changed) if (!(await keys.updateKey(db, key))) throw new LostRace()
      return true
    }
    return this.#change(replace, { unique: () => keyExists(changed[0]) }).catch((error: unknown) => {
      if (error instanceof LostRace) return false
      throw error
    })
  }

  async listKeys(
    accountId: string,
    region: string,
    page: PageRequest<string>,
  ): Promise<readonly MasterKey[]> {
    checkPage(page.limit, page.after ?? '')
    if (![accountId, region].every(isStorableText)) return []
    return this.#run((db) => keys.selectKeysOfAccount(db, accountId, region, page))
  }

  async listKeysInState(state: KeyState, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]> {
    checkWalk(page)
    return this.#run((db) => walks.selectKeysInState(db, state, page))
  }

  async listKeysOfToken(
    token: string,
    state: KeyState,
    page: PageRequest<KeyPlace>,
  ): Promise<readonly MasterKey[]> {
    checkWalk(page)
    if (!isStorableText(token)) return []
    return this.#run((db) => walks.selectKeysInState(db, state, page, token))
  }

  async listTokens(): Promise<readonly TokenUse[]> {
    return this.#run(walks.selectTokens)
  }

  async listKeysInRotation(page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]> {
    checkWalk(page)
    return this.#run((db) => walks.selectKeysInRotation(db, page))
  }

  async listKeysToRotate(leasedMin: number, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]> {
    checkWalk(page)
    checkCount(leasedMin)
    return this.#run((db) => walks.selectKeysToRotate(db, leasedMin, page))
  }

  async listKeysDueForRotation(dueBy: number, page: PageRequest<KeyPlace>): Promise<readonly MasterKey[]> {
    checkWalk(page)
    checkTime(dueBy)
    return this.#run((db) => walks.selectKeysDueForRotation(db, dueBy, page))
  }

  async listKeysWithMaterialToEnd(
    when: { readonly expiresBy: number; readonly begunBy: number },
    page: PageRequest<KeyPlace>,
  ): Promise<readonly MasterKey[]> {
    checkWalk(page)
    for (const time of [when.expiresBy, when.begunBy]) checkTime(time)
    return this.#run((db) => walks.selectKeysWithMaterialToEnd(db, when, page))
  }

  async leaseInvocations(versionId: string, count: number, max: number): Promise<InvocationBlock> {
    checkLease(versionId, count, max)
    return this.#change((db) => leaseNext(db, versionId, count, max))
  }

  async mostLeased(): Promise<number> {
    return this.#run(selectMostLeased)
  }

  async acquireLease(lease: Lease, now: number): Promise<boolean> {
    checkHolding(lease, now)
    return this.#run((db) => leases.upsertLease(db, lease, now))
  }

  async releaseLease(name: string, holder: string): Promise<boolean> {
    if (![name, holder].every(isStorableText)) return false
    return this.#run((db) => leases.deleteLease(db, name, holder))
  }

  /** A committed write: one that is rolled back meets neither a full disk nor a failing sync. */
  async ping(): Promise<void> {
    const beat = await this.#run((db) =>
      db
        .updateTable('heartbeat')
        .set(({ eb }) => ({ beats: eb('beats', '+', 1) }))
        .where('id', '=', 1)
        .executeTakeFirst(),
    )
    if (beat.numUpdatedRows !== 1n) throw storeAltered('the heartbeat row is gone')
  }

  /** Number of the newest migration that the database has. */
  async schemaVersion(): Promise<number> {
    const newest = await this.#run((db) =>
      db
        .selectFrom('schema_migration')
        .select(({ fn }) => fn.max<number>('number').as('number'))
        .executeTakeFirstOrThrow(),
    )
    return newest.number
  }

  /** What was asked for before is finished first. May be called again. */
  async close(): Promise<void> {
    this.#closed ??= this.#finish()
    return this.#closed
  }

  async #finish(): Promise<void> {
    await this.#db.connection().execute(async () => undefined)
    await this.#db.destroy()
  }

  protected override read<T>(work: (db: StoreDb) => Promise<T>): Promise<T> {
    return this.#run(work)
  }

  protected override change<T>(work: (db: StoreDb) => Promise<T>, meanings?: ConstraintMeanings): Promise<T> {
    return this.#change(work, meanings)
  }

  /** One statement, or several that need not be one. */
  async #run<T>(work: (db: StoreDb) => Promise<T>, meanings: ConstraintMeanings = {}): Promise<T> {
    if (this.#closed)
      throw storeUnavailable(new StoreFault('STORE_CLOSED', 'the store is closed', CLOSED_HINT))
    try {
      return await work(this.#db)
    } catch (error) {
      throw translateFault(error, this.#classify, meanings)
    }
  }

  async #change<T>(work: (db: StoreDb) => Promise<T>, meanings: ConstraintMeanings = {}): Promise<T> {
    return this.#run((db) => db.transaction().execute(work), meanings)
  }
}

function checkWalk({ limit, after }: PageRequest<KeyPlace>): void {
  checkPage(limit, after?.region ?? '', after?.keyId ?? '')
}

/** Takes back what was written for the keys before the one that somebody else changed first. */
class LostRace extends Error {}

function keyExists(key: MasterKey | undefined): KmsError<'ALREADY_EXISTS'> {
  return new KmsError('ALREADY_EXISTS', 'A key with this id or version exists already.', {
    ...(key && { keyId: key.keyId }),
  })
}
