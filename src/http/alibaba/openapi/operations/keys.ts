import { z } from 'zod'
import type { MasterKey } from '../../../../core/key.ts'
import { collectAll } from '../collect.ts'
import { keyArn, parseKeyIdentifier, parseManagedKeyId } from '../key-names.ts'
import { flag, integer, isPlainObject, keyId, page, pageOf, parseJson } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { KEY_SPEC_NAMES, KEY_USAGE_NAMES, keyMetadata, keyStateName, protectionLevelOf } from '../wire.ts'

const DESCRIPTION_CHARACTERS_MAX = 8192
const PENDING_WINDOW_DAYS = { min: 7, max: 366 } as const

const onlyKeyId = z.object({ KeyId: keyId })

/** `Filters` of ListKeys: a key is listed when every filter has one of the values that the key has. */
const FILTERS: Readonly<Record<string, (key: MasterKey) => string>> = {
  KeyState: ({ state }) => keyStateName(state),
  KeySpec: ({ spec }) => KEY_SPEC_NAMES[spec],
  KeyUsage: ({ usage }) => KEY_USAGE_NAMES[usage],
  ProtectionLevel: protectionLevelOf,
  CreatorType: () => 'User',
}
const FILTERS_CHARACTERS_MAX = 8192
const FILTERS_MAX = 10
const FILTER_VALUES_MAX = 20

type KeyFilter = (key: MasterKey) => boolean

/** `[{"Key":"KeyState","Values":["Enabled","Disabled"]}]` */
const filters: z.ZodType<KeyFilter> = z
  .string()
  .max(FILTERS_CHARACTERS_MAX)
  .transform((json, context) => {
    const filter = parseFilters(parseJson(json))
    if (filter) return filter
    context.issues.push({ code: 'custom', input: undefined })
    return z.NEVER
  })

function parseFilters(value: unknown): KeyFilter | undefined {
  if (!Array.isArray(value) || value.length > FILTERS_MAX) return undefined
  const parsed = value.map(parseFilter)
  const whole = parsed.filter((filter) => filter !== undefined)
  return whole.length === parsed.length ? (key) => whole.every((matches) => matches(key)) : undefined
}

function parseFilter(item: unknown): KeyFilter | undefined {
  if (!isPlainObject(item)) return undefined
  const { Key: name, Values: values } = item
  if (typeof name !== 'string' || !Object.hasOwn(FILTERS, name) || !Array.isArray(values)) return undefined
  if (values.length > FILTER_VALUES_MAX) return undefined
  const valueOf = FILTERS[name]
  return (key) => valueOf !== undefined && values.includes(valueOf(key))
}

/** The life of keys. */
export const KEY_OPERATIONS = {
  DescribeKey: openApiOperation({
    parameters: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      const key = await kms.describeKey(context, parseKeyIdentifier(scope, body.KeyId))
      const { deletionProtection } = key
      return {
        KeyMetadata: {
          ...keyMetadata(scope, key),
          DeletionProtection: deletionProtection === undefined ? 'Disabled' : 'Enabled',
          DeletionProtectionDescription: deletionProtection ?? '',
        },
      }
    },
  }),

  ListKeys: openApiOperation({
    parameters: z.object({ Filters: filters.optional(), ...page }),
    handle: async ({ kms, context, scope }, body) => {
      const all = await collectAll((input) => kms.listKeys(context, input))
      const matching = body.Filters ? all.filter(body.Filters) : all
      const { rows, counts } = pageOf(matching, body)
      const Key = rows.map((key) => ({ KeyId: key.keyId, KeyArn: keyArn(scope, key.keyId) }))
      return { Keys: { Key }, ...counts }
    },
  }),

  EnableKey: openApiOperation({
    parameters: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.enableKey(context, parseManagedKeyId(scope, body.KeyId))
      return {}
    },
  }),

  DisableKey: openApiOperation({
    parameters: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.disableKey(context, parseManagedKeyId(scope, body.KeyId))
      return {}
    },
  }),

  ScheduleKeyDeletion: openApiOperation({
    parameters: onlyKeyId.extend({
      PendingWindowInDays: integer(PENDING_WINDOW_DAYS.min, PENDING_WINDOW_DAYS.max),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      await kms.scheduleKeyDeletion(context, id, body.PendingWindowInDays)
      return {}
    },
  }),

  CancelKeyDeletion: openApiOperation({
    parameters: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.cancelKeyDeletion(context, parseManagedKeyId(scope, body.KeyId), 'Enabled')
      return {}
    },
  }),

  UpdateKeyDescription: openApiOperation({
    parameters: onlyKeyId.extend({ Description: z.string().max(DESCRIPTION_CHARACTERS_MAX) }),
    emptyMeans: ['Description'],
    handle: async ({ kms, context, scope }, body) => {
      await kms.updateKeyDescription(context, parseManagedKeyId(scope, body.KeyId), body.Description)
      return {}
    },
  }),

  SetDeletionProtection: openApiOperation({
    parameters: z
      .object({
        ProtectedResourceArn: keyId.optional(),
        KeyId: keyId.optional(),
        EnableDeletionProtection: flag,
        DeletionProtectionDescription: z.string().max(DESCRIPTION_CHARACTERS_MAX).optional(),
      })
      .refine((body) => (body.ProtectedResourceArn ?? body.KeyId) !== undefined, {
        path: ['ProtectedResourceArn'],
      }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.ProtectedResourceArn ?? body.KeyId ?? '')
      const description = body.DeletionProtectionDescription ?? ''
      const protection = body.EnableDeletionProtection ? description : undefined
      await kms.setDeletionProtection(context, id, protection)
      return {}
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
