import type { Insertable, Selectable } from 'kysely'
import {
  GRANT_OPERATIONS,
  type Grant,
  type GrantConstraints,
  type GrantOperation,
  type GrantPrincipal,
} from '../core/grant.ts'
import { storeAltered } from './faults.ts'
import { requireVisibleKey } from './key-queries.ts'
import type { KeyGrantTable, StoreDb } from './schema.ts'

/**
 * Stores a grant; gives the earlier one where the key has one with its fingerprint, and `undefined` where it has `max`. The key is
 * held, so that of two that ask at the same time the second sees what the first did. Needs a transaction.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND`
 */
export async function insertGrant(db: StoreDb, grant: Grant, max: number): Promise<Grant | undefined> {
  await requireVisibleKey(db, grant.region, grant.keyId)
  const earlier = await selectByFingerprint(db, grant)
  if (earlier) return earlier
  const row = await db
    .selectFrom('key_grant')
    .select(({ fn }) => fn.countAll<number | string>().as('grants'))
    .where('region', '=', grant.region)
    .where('key_id', '=', grant.keyId)
    .executeTakeFirstOrThrow()
  if (Number(row.grants) >= max) return undefined
  await db.insertInto('key_grant').values(rowOfGrant(grant)).execute()
  return grant
}

async function selectByFingerprint(db: StoreDb, grant: Grant): Promise<Grant | undefined> {
  if (grant.fingerprint === undefined) return undefined
  const row = await db
    .selectFrom('key_grant')
    .selectAll()
    .where('region', '=', grant.region)
    .where('key_id', '=', grant.keyId)
    .where('fingerprint', '=', grant.fingerprint)
    .executeTakeFirst()
  return row && grantOfRow(row)
}

export async function selectGrant(db: StoreDb, grantId: string): Promise<Grant | undefined> {
  const row = await db.selectFrom('key_grant').selectAll().where('grant_id', '=', grantId).executeTakeFirst()
  return row && grantOfRow(row)
}

export async function deleteGrantById(
  db: StoreDb,
  region: string,
  keyId: string,
  grantId: string,
): Promise<boolean> {
  const deleted = await db
    .deleteFrom('key_grant')
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .where('grant_id', '=', grantId)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

interface Page {
  readonly after?: string | undefined
  readonly limit: number
}

export async function selectGrantsOfKey(
  db: StoreDb,
  region: string,
  keyId: string,
  grantee: GrantPrincipal | undefined,
  { after, limit }: Page,
): Promise<Grant[]> {
  let grants = db
    .selectFrom('key_grant')
    .selectAll()
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .orderBy('grant_id')
    .limit(limit)
  if (grantee) grants = grants.where('grantee', '=', textOf(grantee))
  if (after !== undefined) grants = grants.where('grant_id', '>', after)
  return (await grants.execute()).map(grantOfRow)
}

export async function selectRetirableGrants(
  db: StoreDb,
  accountId: string,
  region: string,
  retiring: GrantPrincipal,
  { after, limit }: Page,
): Promise<Grant[]> {
  let grants = db
    .selectFrom('key_grant')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('region', '=', region)
    .where('retiring', '=', textOf(retiring))
    .orderBy('grant_id')
    .limit(limit)
  if (after !== undefined) grants = grants.where('grant_id', '>', after)
  return (await grants.execute()).map(grantOfRow)
}

function textOf({ kind, name }: GrantPrincipal): string {
  return `${kind} ${name}`
}

function principalOf(text: string): GrantPrincipal {
  const space = text.indexOf(' ')
  const kind = text.slice(0, space)
  if (kind !== 'arn' && kind !== 'service')
    throw storeAltered('key_grant names a principal of an unknown kind')
  return { kind, name: text.slice(space + 1) }
}

function operationsOf(text: string): GrantOperation[] {
  return text.split(' ').map((word) => {
    const operation = GRANT_OPERATIONS.find((known) => known === word)
    if (!operation) throw storeAltered('key_grant allows an operation that this program does not know')
    return operation
  })
}

function constraintsOf(json: string): GrantConstraints {
  try {
    return JSON.parse(json) as GrantConstraints
  } catch {
    throw storeAltered('key_grant.constraints_json is no JSON')
  }
}

function grantOfRow(row: Selectable<KeyGrantTable>): Grant {
  return {
    grantId: row.grant_id,
    accountId: row.account_id,
    region: row.region,
    keyId: row.key_id,
    ...(row.name !== null && { name: row.name }),
    grantee: principalOf(row.grantee),
    ...(row.retiring !== null && { retiring: principalOf(row.retiring) }),
    operations: operationsOf(row.operations),
    ...(row.constraints_json !== null && { constraints: constraintsOf(row.constraints_json) }),
    createdAt: row.created_at,
    tokenKey: row.token_key,
    ...(row.fingerprint !== null && { fingerprint: row.fingerprint }),
  }
}

function rowOfGrant(grant: Grant): Insertable<KeyGrantTable> {
  return {
    grant_id: grant.grantId,
    account_id: grant.accountId,
    region: grant.region,
    key_id: grant.keyId,
    name: grant.name ?? null,
    grantee: textOf(grant.grantee),
    retiring: grant.retiring ? textOf(grant.retiring) : null,
    operations: grant.operations.join(' '),
    constraints_json: grant.constraints ? JSON.stringify(grant.constraints) : null,
    created_at: grant.createdAt,
    token_key: grant.tokenKey,
    fingerprint: grant.fingerprint ?? null,
  }
}
