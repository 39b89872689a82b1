import type { KeyPolicies, PolicyLanguage } from '../core/ports/policy-store.ts'
import type { Tag } from '../core/ports/tag-store.ts'
import type { StoreDb } from './schema.ts'

/** In place of tags with the same tag key. @param tags - 1 to 50. */
export async function upsertTags(
  db: StoreDb,
  region: string,
  keyId: string,
  tags: readonly Tag[],
): Promise<void> {
  const rows = tags.map(({ key, value }) => ({ region, key_id: keyId, tag_key: key, tag_value: value }))
  await db
    .insertInto('key_tag')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['region', 'key_id', 'tag_key'])
        .doUpdateSet((row) => ({ tag_value: row.ref('excluded.tag_value') })),
    )
    .execute()
}

/** @param tagKeys - 1 to 1000. */
export async function deleteTags(
  db: StoreDb,
  region: string,
  keyId: string,
  tagKeys: readonly string[],
): Promise<void> {
  await db
    .deleteFrom('key_tag')
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .where('tag_key', 'in', tagKeys)
    .execute()
}

export async function selectTags(
  db: StoreDb,
  region: string,
  keyId: string,
  after: string | undefined,
  limit: number,
): Promise<Tag[]> {
  let tags = db
    .selectFrom('key_tag')
    .select(['tag_key as key', 'tag_value as value'])
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .orderBy('tag_key')
    .limit(limit)
  if (after !== undefined) tags = tags.where('tag_key', '>', after)
  return tags.execute()
}

export async function upsertPolicy(
  db: StoreDb,
  region: string,
  keyId: string,
  language: PolicyLanguage,
  policy: string,
): Promise<void> {
  await db
    .insertInto('key_policy')
    .values({ region, key_id: keyId, language, policy })
    .onConflict((conflict) => conflict.columns(['region', 'key_id', 'language']).doUpdateSet({ policy }))
    .execute()
}

export async function selectPolicies(db: StoreDb, region: string, keyId: string): Promise<KeyPolicies> {
  const rows = await db
    .selectFrom('key_policy')
    .select(['language', 'policy'])
    .where('region', '=', region)
    .where('key_id', '=', keyId)
    .execute()
  return Object.fromEntries(rows.map(({ language, policy }) => [language, policy]))
}
