import type { Alias } from '../core/key.ts'
import type { PageRequest } from '../core/ports/key-store.ts'
import { aliasOfRow, rowOfAlias } from './rows.ts'
import type { StoreDb } from './schema.ts'

export async function insertAlias(db: StoreDb, alias: Alias): Promise<void> {
  await db.insertInto('alias').values(rowOfAlias(alias)).execute()
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

/** Moves the alias; when it was created stays what it was. */
export async function updateAliasTarget(db: StoreDb, alias: Alias): Promise<boolean> {
  const updated = await db
    .updateTable('alias')
    .set({ key_id: alias.keyId, updated_at: alias.updatedAt })
    .where('account_id', '=', alias.accountId)
    .where('region', '=', alias.region)
    .where('name', '=', alias.name)
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
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

export async function deleteAliasesOfKey(db: StoreDb, region: string, keyId: string): Promise<void> {
  await db.deleteFrom('alias').where('region', '=', region).where('key_id', '=', keyId).execute()
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
