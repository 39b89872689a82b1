import { z } from 'zod'
import type { KeyIdentifier } from '../../../core/key.ts'
import { parseManagedKeyId, requireNewAliasName, requireOwnAliasName } from '../key-names.ts'
import { encodeMarker, parseMarker } from '../markers.ts'
import { aliasName, keyId, marker } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { type ArnScope, aliasListEntry } from '../wire.ts'

const LIST_ALIASES_LIMIT = { max: 100, default: 50 } as const

const aliasAndTarget = z.object({ AliasName: aliasName, TargetKeyId: keyId })

/** The names of keys: AWS KMS API Reference, one section per name. */
export const ALIAS_OPERATIONS = {
  CreateAlias: awsOperation({
    body: aliasAndTarget,
    handle: async ({ kms, context, scope }, body) => {
      const name = requireNewAliasName(body.AliasName)
      await kms.createAlias(context, name, targetKey(scope, body.TargetKeyId))
      return undefined
    },
  }),

  UpdateAlias: awsOperation({
    body: aliasAndTarget,
    handle: async ({ kms, context, scope }, body) => {
      const name = requireOwnAliasName(body.AliasName)
      await kms.updateAlias(context, name, targetKey(scope, body.TargetKeyId), { sameKind: true })
      return undefined
    },
  }),

  DeleteAlias: awsOperation({
    body: z.object({ AliasName: aliasName }),
    handle: async ({ kms, context }, body) => {
      await kms.deleteAlias(context, requireOwnAliasName(body.AliasName))
      return undefined
    },
  }),

  ListAliases: awsOperation({
    body: z.object({
      KeyId: keyId.optional(),
      Limit: z.int().min(1).max(LIST_ALIASES_LIMIT.max).optional(),
      Marker: marker.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const key = body.KeyId === undefined ? undefined : targetKey(scope, body.KeyId)
      const listing = key ? `ListAliases/${key.keyId}` : 'ListAliases'
      const { rows, next } = await kms.listAliases(context, {
        key,
        limit: body.Limit ?? LIST_ALIASES_LIMIT.default,
        after: body.Marker === undefined ? undefined : parseMarker(scope, listing, body.Marker),
      })
      const Aliases = rows.map((alias) => aliasListEntry(scope, alias))
      if (next === undefined) return { Aliases, Truncated: false }
      return { Aliases, Truncated: true, NextMarker: encodeMarker(scope, listing, next) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

function targetKey(scope: ArnScope, text: string): KeyIdentifier & { readonly kind: 'id' } {
  return { kind: 'id', keyId: parseManagedKeyId(scope, text) }
}
