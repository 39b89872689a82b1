import { z } from 'zod'
import { isKeyId } from '../../../../core/key.ts'
import type { Tag } from '../../../../core/ports/tag-store.ts'
import { collectAll } from '../collect.ts'
import { invalidParameter, missing, unsupported } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { flag, isPlainObject, keyId, parseJson } from '../members.ts'
import { type OpenApiCall, type OpenApiOperation, openApiOperation } from '../operation.ts'
import { listOf, type Parameters } from '../parameters.ts'

const TAGS_MAX = 20
const RESOURCES_MAX = 50
const TAG_KEY_CHARACTERS_MAX = 128
const TAG_VALUE_CHARACTERS_MAX = 256
const TAGS_JSON_CHARACTERS_MAX = 16_384
/** Keys that one request looks at; what is left has a token to go on with. */
const KEYS_LOOKED_AT_MAX = 200
/** Tags of a key are no more than that. */
const KEY_TAGS_LIMIT = 999
const RESOURCE_TYPE = 'key'

/** `[{"TagKey":"a","TagValue":"b"}]`; what a tag may look like beyond that, the core says. */
export const tagsJson: z.ZodType<Tag[]> = jsonList((item) => {
  if (!isPlainObject(item)) return undefined
  const { TagKey: key, TagValue: value = '' } = item
  return typeof key === 'string' && typeof value === 'string' && isTag(key, value)
    ? { key, value }
    : undefined
})

/** `["a","b"]` */
const tagKeysJson: z.ZodType<string[]> = jsonList((item) =>
  typeof item === 'string' && isTag(item, '') ? item : undefined,
)

function jsonList<Item>(parseItem: (item: unknown) => Item | undefined): z.ZodType<Item[]> {
  return z
    .string()
    .max(TAGS_JSON_CHARACTERS_MAX)
    .transform((json, context) => {
      const value = parseJson(json)
      const items = Array.isArray(value) && value.length <= TAGS_MAX ? value.map(parseItem) : [undefined]
      const whole = items.filter((item): item is Item & {} => item !== undefined)
      if (whole.length === items.length) return whole
      context.issues.push({ code: 'custom', input: undefined })
      return z.NEVER
    })
}

/** Prefixes that Alibaba Cloud keeps for itself. */
const RESERVED_TAG_KEY = /^(?:aliyun|acs:)/i

function isTag(key: string, value: string): boolean {
  const lengths = key.length >= 1 && key.length <= TAG_KEY_CHARACTERS_MAX
  return lengths && value.length <= TAG_VALUE_CHARACTERS_MAX && !RESERVED_TAG_KEY.test(key)
}

/** Tags of keys, in both generations of the API: one key and JSON texts, and several keys and lists of parameters. */
export const TAG_OPERATIONS = {
  TagResource: openApiOperation({
    refuses: ['SecretName', 'CertificateId'],
    parameters: z.object({ KeyId: keyId, Tags: tagsJson }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.tagResource(context, parseManagedKeyId(scope, body.KeyId), body.Tags)
      return {}
    },
  }),

  UntagResource: openApiOperation({
    refuses: ['SecretName', 'CertificateId'],
    parameters: z.object({ KeyId: keyId, TagKeys: tagKeysJson }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.untagResource(context, parseManagedKeyId(scope, body.KeyId), body.TagKeys)
      return {}
    },
  }),

  ListResourceTags: openApiOperation({
    parameters: z.object({ KeyId: keyId }),
    handle: async (call, body) => {
      const id = parseManagedKeyId(call.scope, body.KeyId)
      const tags = await tagsOf(call, id)
      return { Tags: { Tag: tags.map(({ key, value }) => ({ KeyId: id, TagKey: key, TagValue: value })) } }
    },
  }),

  TagResources: openApiOperation({
    parameters: z.object({ RegionId: z.string(), ResourceType: z.string() }),
    handle: async (call, body) => {
      const ids = await requireKeys(call, body.ResourceType)
      const tags = tagsIn(call.parameters)
      if (tags.length === 0) throw missing('Tag')
      for (const id of ids) await call.kms.tagResource(call.context, id, tags)
      return {}
    },
  }),

  UntagResources: openApiOperation({
    parameters: z.object({ RegionId: z.string(), ResourceType: z.string(), All: flag.optional() }),
    handle: async (call, body) => {
      const ids = await requireKeys(call, body.ResourceType)
      const named = listOf(call.parameters, 'TagKey', TAGS_MAX)
      if (named.length > TAGS_MAX) throw invalidParameter('TagKey')
      for (const id of ids) {
        const all = body.All === true && named.length === 0
        const keys = all ? (await tagsOf(call, id)).map(({ key }) => key) : named
        if (keys.length > 0) await call.kms.untagResource(call.context, id, keys)
      }
      return {}
    },
  }),

  ListTagResources: openApiOperation({
    parameters: z.object({
      RegionId: z.string(),
      ResourceType: z.string(),
      NextToken: z.string().refine(isKeyId).optional(),
    }),
    handle: async (call, body) => {
      requireKeyType(body.ResourceType)
      const wanted = tagsIn(call.parameters)
      const named = resourcesIn(call)
      const ids = named.length > 0 ? named : await allKeys(call)
      const { NextToken: after } = body
      const left = (after === undefined ? ids : ids.filter((id) => id > after)).toSorted()
      const looked = left.slice(0, KEYS_LOOKED_AT_MAX)
      const rows = await Promise.all(looked.map(async (id) => tagRows(id, await tagsOf(call, id), wanted)))
      const last = looked.at(-1)
      const NextToken = left.length > looked.length && last !== undefined ? last : ''
      return { TagResources: { TagResource: rows.flat() }, NextToken }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>

function requireKeyType(type: string): void {
  if (type === 'secret') throw unsupported('ResourceType secret')
  if (type.toLowerCase() !== RESOURCE_TYPE) throw invalidParameter('ResourceType')
}

/** `ResourceId.N`, each once. */
function resourcesIn({ parameters, scope }: OpenApiCall): string[] {
  const named = listOf(parameters, 'ResourceId', RESOURCES_MAX)
  if (named.length > RESOURCES_MAX) throw invalidParameter('ResourceId')
  return [...new Set(named.map((name) => parseManagedKeyId(scope, name)))]
}

/** The keys that are named, every one of which is there: a request changes all of them or, as far as can be told, none. */
async function requireKeys(call: OpenApiCall, type: string): Promise<string[]> {
  requireKeyType(type)
  const ids = resourcesIn(call)
  if (ids.length === 0) throw missing('ResourceId')
  for (const keyIdOfOne of ids) await call.kms.describeKey(call.context, { kind: 'id', keyId: keyIdOfOne })
  return ids
}

/** `Tag.N.Key` and `Tag.N.Value`. */
function tagsIn(parameters: Parameters): Tag[] {
  const tags: Tag[] = []
  for (let number = 1; ; number++) {
    const key = parameters.get(`Tag.${number}.Key`) ?? ''
    if (key === '') return tags
    const value = parameters.get(`Tag.${number}.Value`) ?? ''
    if (number > TAGS_MAX || !isTag(key, value)) throw invalidParameter(`Tag.${number}`)
    tags.push({ key, value })
  }
}

async function allKeys({ kms, context }: OpenApiCall): Promise<string[]> {
  const keys = await collectAll((input) => kms.listKeys(context, input))
  return keys.map((key) => key.keyId)
}

async function tagsOf({ kms, context }: OpenApiCall, id: string): Promise<readonly Tag[]> {
  return (await kms.listResourceTags(context, id, { limit: KEY_TAGS_LIMIT })).rows
}

/** Those of a key that has every tag that is wanted; an empty value is any. */
function tagRows(id: string, tags: readonly Tag[], wanted: readonly Tag[]) {
  const has = ({ key, value }: Tag) =>
    tags.some((tag) => tag.key === key && (value === '' || tag.value === value))
  if (!wanted.every(has)) return []
  return tags.map(({ key, value }) => ({
    ResourceId: id,
    ResourceType: RESOURCE_TYPE,
    TagKey: key,
    TagValue: value,
  }))
}
