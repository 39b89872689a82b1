import { z } from 'zod'
import { KEY_SPECS as KEY_SPECS_MADE, type KeySpec, type KeyUsage } from '../../../core/key-spec.ts'
import { UNDRIVEN_KEY_SPECS, type UndrivenKeySpec } from '../../../core/undriven-specs.ts'
import { unsupported, validation } from '../fault.ts'
import { parseKeyIdentifier, parseManagedKeyId } from '../key-names.ts'
import { encodeMarker, parseMarker } from '../markers.ts'
import { attachmentsOf, grantTokens, keyId, marker, policyDocument, tags } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { keyArn, keyMetadata, toTimestamp } from '../wire.ts'

const KEY_SPECS = [
  'SYMMETRIC_DEFAULT',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ECC_NIST_P256',
  'ECC_NIST_P384',
  'ECC_NIST_P521',
  'ECC_SECG_P256K1',
  'ECC_NIST_EDWARDS25519',
  'HMAC_224',
  'HMAC_256',
  'HMAC_384',
  'HMAC_512',
  'SM2',
  'ML_DSA_44',
  'ML_DSA_65',
  'ML_DSA_87',
  'ML_KEM_512',
  'ML_KEM_768',
  'ML_KEM_1024',
] as const
/** The deprecated member knows no spec that came after it. */
const CUSTOMER_MASTER_KEY_SPECS = [
  'SYMMETRIC_DEFAULT',
  'RSA_2048',
  'RSA_3072',
  'RSA_4096',
  'ECC_NIST_P256',
  'ECC_NIST_P384',
  'ECC_NIST_P521',
  'ECC_SECG_P256K1',
  'HMAC_224',
  'HMAC_256',
  'HMAC_384',
  'HMAC_512',
  'SM2',
] as const
const KEY_USAGES = [
  'ENCRYPT_DECRYPT',
  'SIGN_VERIFY',
  'GENERATE_VERIFY_MAC',
  'KEY_AGREEMENT',
  'ENCAPSULATE_DECAPSULATE',
] as const
const ORIGINS = ['AWS_KMS', 'EXTERNAL', 'AWS_CLOUDHSM', 'EXTERNAL_KEY_STORE'] as const

const PENDING_WINDOW_DAYS = { min: 7, max: 30, default: 30 } as const
/** AWS takes a Limit of 1000; the core lists one key less at a time, and a shorter page is always allowed. */
const LIST_KEYS_LIMIT = { max: 1000, default: 100, coreMax: 999 } as const

const createKeyBody = z.object({
  Description: z.string().max(8192).optional(),
  KeySpec: z.enum(KEY_SPECS).optional(),
  CustomerMasterKeySpec: z.enum(CUSTOMER_MASTER_KEY_SPECS).optional(),
  KeyUsage: z.enum(KEY_USAGES).optional(),
  Origin: z.enum(ORIGINS).optional(),
  MultiRegion: z.boolean().optional(),
  BypassPolicyLockoutSafetyCheck: z.boolean().optional(),
  Policy: policyDocument.optional(),
  Tags: tags.optional(),
  CustomKeyStoreId: z.string().min(1).max(64).optional(),
  XksKeyId: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[a-zA-Z0-9-_.]+$/)
    .optional(),
})

const onlyKeyId = z.object({ KeyId: keyId })

/** The life of keys: AWS KMS API Reference, one section per name. */
export const KEY_OPERATIONS = {
  CreateKey: awsOperation({
    body: createKeyBody,
    refuses: ['CustomKeyStoreId', 'XksKeyId'],
    handle: async ({ kms, context, scope, keyPairWaitMs }, body) => {
      const made = specAndUsage(body)
      const origin = body.Origin === 'EXTERNAL' ? ({ origin: 'EXTERNAL' } as const) : {}
      const key = await kms.createKey(context, {
        description: body.Description,
        multiRegion: body.MultiRegion,
        ...made,
        ...attachmentsOf(body),
        waitMs: keyPairWaitMs,
        ...origin,
      })
      return { KeyMetadata: keyMetadata(scope, key, [key]) }
    },
  }),

  DescribeKey: awsOperation({
    body: z.object({ KeyId: keyId, GrantTokens: grantTokens.optional() }),
    handle: async ({ kms, context, scope }, body) => {
      const key = await kms.describeKey(context, parseKeyIdentifier(scope, body.KeyId))
      return { KeyMetadata: keyMetadata(scope, key, await kms.regionsOf(key)) }
    },
  }),

  ListKeys: awsOperation({
    body: z.object({
      Limit: z.int().min(1).max(LIST_KEYS_LIMIT.max).optional(),
      Marker: marker.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { rows, next } = await kms.listKeys(context, {
        limit: Math.min(body.Limit ?? LIST_KEYS_LIMIT.default, LIST_KEYS_LIMIT.coreMax),
        after: body.Marker === undefined ? undefined : parseMarker(scope, 'ListKeys', body.Marker),
      })
      const Keys = rows.map((key) => ({ KeyId: key.keyId, KeyArn: keyArn(scope, key.keyId) }))
      if (next === undefined) return { Keys, Truncated: false }
      return { Keys, Truncated: true, NextMarker: encodeMarker(scope, 'ListKeys', next) }
    },
  }),

  EnableKey: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.enableKey(context, parseManagedKeyId(scope, body.KeyId))
      return undefined
    },
  }),

  UpdateKeyDescription: awsOperation({
    body: onlyKeyId.extend({ Description: z.string().max(8192) }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.updateKeyDescription(context, parseManagedKeyId(scope, body.KeyId), body.Description)
      return undefined
    },
  }),

  DisableKey: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      await kms.disableKey(context, parseManagedKeyId(scope, body.KeyId))
      return undefined
    },
  }),

  ScheduleKeyDeletion: awsOperation({
    body: onlyKeyId.extend({
      PendingWindowInDays: z.int().min(PENDING_WINDOW_DAYS.min).max(PENDING_WINDOW_DAYS.max).optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const days = body.PendingWindowInDays ?? PENDING_WINDOW_DAYS.default
      const key = await kms.scheduleKeyDeletion(context, parseManagedKeyId(scope, body.KeyId), days)
      return {
        KeyId: keyArn(scope, key.keyId),
        ...(key.deletionAt === undefined ? {} : { DeletionDate: toTimestamp(key.deletionAt) }),
        KeyState: key.state,
        PendingWindowInDays: days,
      }
    },
  }),

  CancelKeyDeletion: awsOperation({
    body: onlyKeyId,
    handle: async ({ kms, context, scope }, body) => {
      const key = await kms.cancelKeyDeletion(context, parseManagedKeyId(scope, body.KeyId))
      return { KeyId: keyArn(scope, key.keyId) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

/** What is to be made, checked in the order in which AWS looks. */
function specAndUsage(body: z.output<typeof createKeyBody>): {
  readonly spec: KeySpec | UndrivenKeySpec
  readonly usage: KeyUsage | undefined
} {
  const { KeySpec, CustomerMasterKeySpec, KeyUsage, Origin = 'AWS_KMS' } = body
  if (KeySpec !== undefined && CustomerMasterKeySpec !== undefined) {
    throw validation(
      'You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.',
    )
  }
  const spec = KeySpec ?? CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT'
  if (spec !== 'SYMMETRIC_DEFAULT' && KeyUsage === undefined) {
    throw validation(
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    )
  }
  const usages: readonly string[] = { ...KEY_SPECS_MADE, ...UNDRIVEN_KEY_SPECS }[spec].usages
  if (KeyUsage !== undefined && !usages.includes(KeyUsage)) {
    throw validation(`KeyUsage ${KeyUsage} is not compatible with KeySpec ${spec}`)
  }
  if (Origin !== 'AWS_KMS' && Origin !== 'EXTERNAL') throw unsupported(`Origin ${Origin}`)
  // No spec that is made here is for encapsulation; those that are refused below need no usage.
  return { spec, usage: KeyUsage === 'ENCAPSULATE_DECAPSULATE' ? undefined : KeyUsage }
}
