import { KmsError } from '../errors.ts'
import { requireKey, requireLasting } from '../find-key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { Tag } from '../ports/tag-store.ts'
import { cut, type Page, type PageInput } from './list-keys.ts'

/** Tags that a key may have (AWS KMS, "Tagging keys"). */
const TAGS_MAX = 50
/** Kept for the service itself, in whatever case it is written. */
const RESERVED_PREFIX = 'aws:'

/**
 * Refuses tags that no request may give, in the order in which AWS KMS looks.
 *
 * @throws {@link KmsError} `TAGS_INVALID`
 */
export function requireTags(tags: readonly Tag[]): void {
  if (new Set(tags.map(({ key }) => key)).size < tags.length) throw tagsInvalid('Duplicate tag keys')
  if (tags.length > TAGS_MAX) throw tooManyTags()
  requireUnreserved(tags.map(({ key }) => key))
}

function requireUnreserved(tagKeys: readonly string[]): void {
  if (tagKeys.some((key) => key.toLowerCase().startsWith(RESERVED_PREFIX)))
    throw tagsInvalid('Tags beginning with aws: are reserved')
}

function tooManyTags(): KmsError<'TAGS_INVALID'> {
  return tagsInvalid('Too many tags')
}

function tagsInvalid(message: string): KmsError<'TAGS_INVALID'> {
  return new KmsError('TAGS_INVALID', message, {})
}

/** Adds tags, in place of those with the same tag keys. */
export async function tagResource(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  tags: readonly Tag[],
): Promise<void> {
  requireTags(tags)
  const key = await requireKey(deps, context, 'TagResource', { kind: 'id', keyId })
  requireLasting(key)
  if (tags.length === 0) return
  const stored = await deps.store.putTags(key.region, key.keyId, tags, TAGS_MAX)
  if (!stored) throw tooManyTags()
}

/** Tags that the key does not have are none to take away. */
export async function untagResource(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  tagKeys: readonly string[],
): Promise<void> {
  requireUnreserved(tagKeys)
  const key = await requireKey(deps, context, 'UntagResource', { kind: 'id', keyId })
  requireLasting(key)
  await deps.store.removeTags(key.region, key.keyId, tagKeys)
}

/** Tags of a key by tag key. */
export async function listResourceTags(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  page: PageInput,
): Promise<Page<Tag>> {
  const key = await requireKey(deps, context, 'ListResourceTags', { kind: 'id', keyId })
  const request = { after: page.after, limit: page.limit + 1 }
  const tags = await deps.store.listTags(key.region, key.keyId, request)
  return cut(tags, page.limit, (tag) => tag.key)
}
