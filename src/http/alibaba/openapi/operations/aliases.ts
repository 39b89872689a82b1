import { z } from 'zod'
import type { Alias } from '../../../../core/key.ts'
import { collectAll } from '../collect.ts'
import { aliasArn, parseManagedKeyId, requireOwnAliasName } from '../key-names.ts'
import { aliasName, keyId, page, pageOf } from '../members.ts'
import { type AcsScope, type OpenApiOperation, openApiOperation } from '../operation.ts'

const aliasAndKey = z.object({ AliasName: aliasName, KeyId: keyId })

function aliasRow(scope: AcsScope, alias: Alias) {
  return { AliasName: alias.name, AliasArn: aliasArn(scope, alias.name), KeyId: alias.keyId }
}

/** The names of keys. */
export const ALIAS_OPERATIONS = {
  CreateAlias: openApiOperation({
    parameters: aliasAndKey,
    handle: async ({ kms, context, scope }, body) => {
      const name = requireOwnAliasName(body.AliasName)
      await kms.createAlias(context, name, { kind: 'id', keyId: parseManagedKeyId(scope, body.KeyId) })
      return {}
    },
  }),

  UpdateAlias: openApiOperation({
    parameters: aliasAndKey,
    handle: async ({ kms, context, scope }, body) => {
      const name = requireOwnAliasName(body.AliasName)
      await kms.updateAlias(context, name, { kind: 'id', keyId: parseManagedKeyId(scope, body.KeyId) })
      return {}
    },
  }),

  DeleteAlias: openApiOperation({
    parameters: z.object({ AliasName: aliasName }),
    handle: async ({ kms, context }, body) => {
      await kms.deleteAlias(context, requireOwnAliasName(body.AliasName))
      return {}
    },
  }),

  ListAliases: openApiOperation({
    parameters: z.object(page),
    handle: async ({ kms, context, scope }, body) => {
      const all = await collectAll((input) => kms.listAliases(context, input))
      const { rows, counts } = pageOf(all, body)
      return { Aliases: { Alias: rows.map((alias) => aliasRow(scope, alias)) }, ...counts }
    },
  }),

  ListAliasesByKeyId: openApiOperation({
    parameters: z.object({ KeyId: keyId, ...page }),
    handle: async ({ kms, context, scope }, body) => {
      const key = { kind: 'id', keyId: parseManagedKeyId(scope, body.KeyId) } as const
      const all = await collectAll((input) => kms.listAliases(context, { ...input, key }))
      const { rows, counts } = pageOf(all, body)
      return { Aliases: { Alias: rows.map((alias) => aliasRow(scope, alias)) }, ...counts }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
