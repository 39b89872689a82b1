import { z } from 'zod'
import { parseManagedKeyId } from '../key-names.ts'
import { encodeMarker, parseMarker } from '../markers.ts'
import { keyId, marker, tagKeys, tags, toTags } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'

const LIST_TAGS_LIMIT = { max: 50, default: 50 } as const

/** Tags of keys: AWS KMS API Reference, one section per name. */
export const TAG_OPERATIONS = {
  TagResource: awsOperation({
    body: z.object({ KeyId: keyId, Tags: tags }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.tagResource(context, parseManagedKeyId(scope, body.KeyId), toTags(body.Tags))
      return undefined
    },
  }),

  UntagResource: awsOperation({
    body: z.object({ KeyId: keyId, TagKeys: tagKeys }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.untagResource(context, parseManagedKeyId(scope, body.KeyId), body.TagKeys)
      return undefined
    },
  }),

  ListResourceTags: awsOperation({
    body: z.object({
      KeyId: keyId,
      Limit: z.int().min(1).max(LIST_TAGS_LIMIT.max).optional(),
      Marker: marker.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const listing = `ListResourceTags/${id}`
      const { rows, next } = await kms.listResourceTags(context, id, {
        limit: body.Limit ?? LIST_TAGS_LIMIT.default,
        after: body.Marker === undefined ? undefined : parseMarker(scope, listing, body.Marker),
      })
      const Tags = rows.map(({ key, value }) => ({ TagKey: key, TagValue: value }))
      if (next === undefined) return { Tags, Truncated: false }
      return { Tags, Truncated: true, NextMarker: encodeMarker(scope, listing, next) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>
