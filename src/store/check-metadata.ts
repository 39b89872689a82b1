import type { Grant } from '../core/grant.ts'
import type { KeyAttachments } from '../core/ports/key-store.ts'
import type { KeyUse } from '../core/ports/key-use-store.ts'
import type { Tag } from '../core/ports/tag-store.ts'
import { invariant } from '../lib/invariant.ts'
import { isStorableText, requireStorableText } from './check.ts'

const TAGS_MAX = 50
const TAG_KEYS_MAX = 1000

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} for more than {@link TAGS_MAX} tags, none, or two with one tag key.
 */
export function checkTags(tags: readonly Tag[]): void {
  invariant(tags.length >= 1 && tags.length <= TAGS_MAX, 'a key is given 1 to 50 tags')
  invariant(new Set(tags.map(({ key }) => key)).size === tags.length, 'a tag key is given once')
  for (const { key, value } of tags) {
    requireStorableText('tag key', key)
    requireStorableText('tag value', value)
  }
}

/** Those of `tagKeys` that a tag may have. @throws {@link InvariantError} for more than {@link TAG_KEYS_MAX}. */
export function checkTagKeys(tagKeys: readonly string[]): readonly string[] {
  invariant(tagKeys.length <= TAG_KEYS_MAX, 'at most 1000 tags are taken away at a time')
  return tagKeys.filter(isStorableText)
}

/** @throws {@link KmsError} `REQUEST_INVALID` for unstorable text. {@link InvariantError} for an empty policy. */
export function checkPolicy(policy: string): void {
  invariant(policy.length >= 1, 'a policy is not empty')
  requireStorableText('policy', policy)
}

/** As {@link checkTags} and {@link checkPolicy}, for what is there. */
export function checkAttachments({ tags = [], policies = {} }: KeyAttachments): void {
  if (tags.length > 0) checkTags(tags)
  for (const policy of Object.values(policies)) checkPolicy(policy)
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} when the grant is not one that core/grant.ts describes.
 */
export function checkGrant(grant: Grant, max: number): void {
  const { grantId, accountId, region, keyId, name = '', grantee, retiring, tokenKey } = grant
  const texts = { grantId, accountId, region, keyId, name, grantee: grantee.name, tokenKey }
  for (const [field, text] of Object.entries(texts)) requireStorableText(field, text)
  requireStorableText('retiring principal', retiring?.name ?? '')
  invariant(Number.isSafeInteger(max) && max >= 1, 'a key may have a grant')
  invariant(Number.isSafeInteger(grant.createdAt), 'a time is a whole number of milliseconds')
  const sorted = [...new Set(grant.operations)].toSorted()
  invariant(
    sorted.length >= 1 && sorted.join() === grant.operations.join(),
    'the operations of a grant are sorted, each once',
  )
}

const KEY_USES_MAX = 1000

/** @throws {@link InvariantError} when uses are not as core/ports/key-use-store.ts has them. */
export function checkKeyUses(uses: readonly KeyUse[]): void {
  invariant(uses.length <= KEY_USES_MAX, 'at most 1000 uses are kept at a time')
  const keys = new Set(uses.map(({ region, keyId }) => `${region}\0${keyId}`))
  invariant(keys.size === uses.length, 'one use of a key is kept at a time')
  const texts = uses.flatMap(({ region, keyId, requestId = '' }) => [region, keyId, requestId])
  invariant(texts.every(isStorableText), 'uses are of keys')
  invariant(
    uses.every(({ usedAt }) => Number.isSafeInteger(usedAt)),
    'a time is a whole number of milliseconds',
  )
}
