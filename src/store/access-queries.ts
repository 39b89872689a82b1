import type { Insertable, Selectable } from 'kysely'
import type { AccessPoint, AccessPolicy, ClientKey } from '../core/client-key.ts'
import { KmsError } from '../core/errors.ts'
import type { AccessName } from '../core/ports/access-store.ts'
import { parseBase64 } from '../lib/bytes.ts'
import { storeAltered } from './faults.ts'
import type { AccessEntryTable, ClientKeyTable, StoreDb } from './schema.ts'

export type EntryKind = AccessEntryTable['kind']
export type EntryRow = Selectable<AccessEntryTable>

/**
 * Needs a transaction.
 *
 * @throws {@link KmsError} `LIMIT_EXCEEDED` where the account has `max` of the kind.
 */
export async function insertEntry(
  db: StoreDb,
  row: Insertable<AccessEntryTable>,
  max: number,
): Promise<void> {
  await db.insertInto('access_entry').values(row).execute()
  const { count } = await db
    .selectFrom('access_entry')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', row.account_id)
    .where('region', '=', row.region)
    .where('kind', '=', row.kind)
    .executeTakeFirstOrThrow()
  if (count > max) throw limitExceeded(row.kind === 'policy' ? 'policies' : 'access points')
}

export async function selectEntry(
  db: StoreDb,
  kind: EntryKind,
  { accountId, region, name }: AccessName,
): Promise<EntryRow | undefined> {
  return db
    .selectFrom('access_entry')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst()
}

/** When it was created stays what it was. `false` when it is not there. */
export async function updateEntry(
  db: StoreDb,
  kind: EntryKind,
  name: AccessName,
  { description, content }: Pick<EntryRow, 'description' | 'content'>,
): Promise<boolean> {
  const updated = await db
    .updateTable('access_entry')
    .set({ description, content })
    .where('account_id', '=', name.accountId)
    .where('region', '=', name.region)
    .where('kind', '=', kind)
    .where('name', '=', name.name)
    .executeTakeFirst()
  return updated.numUpdatedRows > 0n
}

export async function deleteEntry(db: StoreDb, kind: EntryKind, name: AccessName): Promise<boolean> {
  const deleted = await db
    .deleteFrom('access_entry')
    .where('account_id', '=', name.accountId)
    .where('region', '=', name.region)
    .where('kind', '=', kind)
    .where('name', '=', name.name)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

/** Needs a transaction. */
export async function deletePoint(db: StoreDb, name: AccessName): Promise<boolean> {
  await db
    .deleteFrom('client_key')
    .where('account_id', '=', name.accountId)
    .where('region', '=', name.region)
    .where('access_point', '=', name.name)
    .execute()
  return deleteEntry(db, 'point', name)
}

export async function selectEntries(
  db: StoreDb,
  kind: EntryKind,
  accountId: string,
  region: string,
): Promise<EntryRow[]> {
  return db
    .selectFrom('access_entry')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('kind', '=', kind)
    .orderBy('name')
    .execute()
}

/**
 * Needs a transaction. `false` where the access point is not there.
 *
 * @throws {@link KmsError} `LIMIT_EXCEEDED` where it has `max` keys.
 */
export async function insertClientKey(db: StoreDb, key: ClientKey, max: number): Promise<boolean> {
  const { accountId, region, accessPoint: name } = key
  const point = { accountId, region, name }
  if ((await selectEntry(db, 'point', point)) === undefined) return false
  await db.insertInto('client_key').values(rowOfClientKey(key)).execute()
  if ((await selectClientKeys(db, point)).length > max) throw limitExceeded('client keys')
  return true
}

export async function selectClientKey(db: StoreDb, clientKeyId: string): Promise<ClientKey | undefined> {
  const row = await db
    .selectFrom('client_key')
    .selectAll()
    .where('client_key_id', '=', clientKeyId)
    .executeTakeFirst()
  return row && clientKeyOfRow(row)
}

export async function deleteClientKeyById(
  db: StoreDb,
  accountId: string,
  region: string,
  clientKeyId: string,
): Promise<boolean> {
  const deleted = await db
    .deleteFrom('client_key')
    .where('client_key_id', '=', clientKeyId)
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

export async function selectClientKeys(db: StoreDb, point: AccessName): Promise<ClientKey[]> {
  const rows = await db
    .selectFrom('client_key')
    .selectAll()
    .where('account_id', '=', point.accountId)
    .where('region', '=', point.region)
    .where('access_point', '=', point.name)
    .orderBy('client_key_id')
    .execute()
  return rows.map(clientKeyOfRow)
}

function clientKeyOfRow(row: Selectable<ClientKeyTable>): ClientKey {
  const publicKey = parseBase64(row.public_key)
  if (!publicKey) throw storeAltered('client_key.public_key holds no base64')
  return {
    clientKeyId: row.client_key_id,
    accountId: row.account_id,
    region: row.region,
    accessPoint: row.access_point,
    publicKey,
    createdAt: row.created_at,
    notBefore: row.not_before,
    notAfter: row.not_after,
  }
}

function rowOfClientKey(key: ClientKey): Insertable<ClientKeyTable> {
  return {
    client_key_id: key.clientKeyId,
    account_id: key.accountId,
    region: key.region,
    access_point: key.accessPoint,
    public_key: key.publicKey.toString('base64'),
    created_at: key.createdAt,
    not_before: key.notBefore,
    not_after: key.notAfter,
  }
}

export function rowOfPolicy(policy: AccessPolicy): Insertable<AccessEntryTable> {
  const { permissions, resources, instance } = policy
  const content = JSON.stringify({ permissions, resources, instance })
  return { ...entryColumns(policy), kind: 'policy', content }
}

export function rowOfPoint(point: AccessPoint): Insertable<AccessEntryTable> {
  return { ...entryColumns(point), kind: 'point', content: JSON.stringify({ policies: point.policies }) }
}

function entryColumns({ accountId, region, name, description, createdAt }: AccessPolicy | AccessPoint) {
  return { account_id: accountId, region, name, description, created_at: createdAt }
}

export function policyOfRow(row: EntryRow): AccessPolicy {
  const content = contentOf(row)
  const instance = member(content, 'instance')
  return {
    ...entryOfRow(row),
    permissions: texts(content, 'permissions'),
    resources: texts(content, 'resources'),
    ...(typeof instance === 'string' && { instance }),
  }
}

export function pointOfRow(row: EntryRow): AccessPoint {
  return { ...entryOfRow(row), policies: texts(contentOf(row), 'policies') }
}

function entryOfRow(row: EntryRow) {
  const { account_id: accountId, region, name, description, created_at: createdAt } = row
  return { accountId, region, name, description, createdAt }
}

function contentOf({ content }: EntryRow): unknown {
  try {
    return JSON.parse(content)
  } catch {
    throw storeAltered('access_entry.content holds no JSON')
  }
}

function member(content: unknown, name: string): unknown {
  return typeof content === 'object' && content !== null ? Reflect.get(content, name) : undefined
}

function texts(content: unknown, name: string): readonly string[] {
  const list = member(content, name)
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list
  throw storeAltered(`access_entry.content holds no list of ${name}`)
}

function limitExceeded(what: string): KmsError<'LIMIT_EXCEEDED'> {
  return new KmsError('LIMIT_EXCEEDED', `There are as many ${what} as there may be.`, { limit: what })
}
