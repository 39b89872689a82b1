import { ALIASES_PER_KEY_MAX, tooManyAliases } from '../core/alias.ts'
import { KmsError } from '../core/errors.ts'
import type { Alias } from '../core/key.ts'
import type { PageRequest } from '../core/ports/key-store.ts'
import { holdVisibleKey } from './key-queries.ts'
import { aliasOfRow, rowOfAlias } from './rows.ts'
import type { StoreDb } from './schema.ts'

/**
 * A taken name breaks the primary key, and is told before a key that is not there. Needs a transaction.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND` when nobody may learn of the key.
 */
export async function insertAlias(db: StoreDb, alias: Alias): Promise<void> {
  const held = await holdVisibleKey(db, alias.region, alias.keyId)
  await db.insertInto('alias').values(rowOfAlias(alias)).execute()
  if (!held) throw aliasKeyNotFound(alias)
  await requireRoom(db, alias)
}

/** Counts with the alias in its place: what has no room there is taken back with the transaction. */
async function requireRoom(db: StoreDb, { region, keyId }: Alias): Promise<void> {
  const { aliases } = await db
    .selectFrom('alias')
    .select(({ fn }) => fn.countAll<number | bigint>().as('aliases'))
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .executeTakeFirstOrThrow()
  if (Number(aliases) > ALIASES_PER_KEY_MAX) throw tooManyAliases()
}

export async function selectAlias(
  db: StoreDb,
  accountId: string,
  region: string,
  name: string,
): Promise<Alias | undefined> {
  const row = await db
    .selectFrom('alias')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst()
  return row && aliasOfRow(row)
}

/**
 * Moves the alias; when it was created stays what it was. `false` when it is not there. Needs a transaction.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND` when nobody may learn of the key.
 */
export async function updateAliasTarget(db: StoreDb, alias: Alias): Promise<boolean> {
  const held = await holdVisibleKey(db, alias.region, alias.keyId)
  const before = await selectAlias(db, alias.accountId, alias.region, alias.name)
  const updated = await db
    .updateTable('alias')
    .set({ key_id: alias.keyId, updated_at: alias.updatedAt })
    .where('account_id', '=', alias.accountId)
    .where('region', '=', alias.region)
    .where('name', '=', alias.name)
    .executeTakeFirst()
  if (updated.numUpdatedRows === 0n) return false
  if (!held) throw aliasKeyNotFound(alias)
  if (before?.keyId !== alias.keyId) await requireRoom(db, alias)
  return true
}

export function aliasKeyNotFound({ keyId }: Alias): KmsError<'KEY_NOT_FOUND'> {
  return new KmsError('KEY_NOT_FOUND', 'The key of this alias does not exist.', { keyId })
}

export async function deleteAliasByName(
  db: StoreDb,
  accountId: string,
  region: string,
  name: string,
): Promise<boolean> {
  const deleted = await db
    .deleteFrom('alias')
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

export async function selectAliases(
  db: StoreDb,
  accountId: string,
  region: string,
  keyId: string | undefined,
  page: PageRequest<string>,
): Promise<Alias[]> {
  let aliases = db
    .selectFrom('alias')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .orderBy('name')
    .limit(page.limit)
  if (keyId !== undefined) aliases = aliases.where('key_id', '=', keyId)
  if (page.after !== undefined) aliases = aliases.where('name', '>', page.after)
  return (await aliases.execute()).map(aliasOfRow)
}
