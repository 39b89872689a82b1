import { z } from 'zod'
import { isAliasName } from '../core/alias.ts'
import { parseKeyPolicy } from '../core/authorize/policy.ts'
import { KmsError } from '../core/errors.ts'
import { KEY_SPECS, type KeySpec, type KeyUsage } from '../core/key-spec.ts'
import { requireTags } from '../core/ops/tags.ts'
import type { Tag } from '../core/ports/tag-store.ts'
import { alibabaCredential, alibabaUid, awsAccountId, credential } from './account-schema.ts'
import { name, secretSource } from './common-schema.ts'

/** Aliases that AWS keeps for keys of its own services. */
const RESERVED_ALIAS_PREFIX = 'alias/aws/'

export function toTags(tags: Readonly<Record<string, string>>): Tag[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }))
}

/** What the core would refuse is a problem of the seed. */
function refuseAs(context: z.RefinementCtx, check: () => unknown): void {
  try {
    check()
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
  }
}

const seedSecret = z.union([z.string().min(1).max(8192), secretSource], {
  error: 'Write the secret itself, or name exactly one of file, fd and env.',
})

const seedCredential = credential.extend({
  secretAccessKey: seedSecret.describe(
    'Secret part of the credential: the text itself, or one of `file`, `fd` and `env` as in the configuration.',
  ),
  sessionToken: seedSecret
    .optional()
    .describe('Session token that each request must carry; likewise. Absent for a long-term credential.'),
})

const seedAlibabaCredential = alibabaCredential.extend({
  accessKeySecret: seedSecret.describe('Secret part of the credential; likewise.'),
  securityToken: seedSecret
    .optional()
    .describe('Security token that each request must carry; likewise. Absent for a long-term credential.'),
})

const seedAccount = z.strictObject({
  awsAccountId: awsAccountId.describe('AWS account number, in quotes. May be one of the configuration.'),
  credentials: z.array(seedCredential).max(1000).default([]).describe('Access keys that join the account.'),
  alibabaUid: alibabaUid
    .optional()
    .describe(
      'Alibaba Cloud account id of the same owner, in quotes; that of the configuration where it has one.',
    ),
  alibabaCredentials: z
    .array(seedAlibabaCredential)
    .max(1000)
    .default([])
    .describe('Access keys that join the account for the Alibaba Cloud KMS API; they ask for alibabaUid.'),
})

const seedKey = z
  .strictObject({
    keyId: z
      .string()
      .regex(
        /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/,
        'A key id is a UUID in lower case, or mrk- and 32 hexadecimal digits.',
      )
      .describe(
        'Id of the key: a UUID in lower case, or mrk- and 32 hexadecimal digits for a primary key of several regions.',
      ),
    account: awsAccountId
      .optional()
      .describe('Account that owns the key; the first of the seed, else of the configuration, when absent.'),
    region: name('A region')
      .optional()
      .describe('Region of the key; the first of the seed, else of the configuration, when absent.'),
    description: z.string().max(8192).default('').describe('Description of the key.'),
    aliases: z
      .array(
        z
          .string()
          .refine(isAliasName, 'An alias is alias/ and letters, digits, /, _ and -, at most 256 characters.')
          .refine((alias) => !alias.startsWith(RESERVED_ALIAS_PREFIX), 'alias/aws/ is reserved.'),
      )
      .max(50)
      .default([])
      .describe('Aliases of the key, with their prefix.'),
    keySpec: z
      .enum(Object.keys(KEY_SPECS) as [KeySpec, ...KeySpec[]])
      .default('SYMMETRIC_DEFAULT')
      .describe('Spec of the key, in AWS KMS’s names.'),
    keyUsage: z
      .enum(['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT'])
      .optional()
      .describe('Usage of the key; the only one that its spec has when absent.'),
    tags: z
      .record(z.string().min(1).max(128), z.string().max(256))
      .default({})
      .superRefine((tags, context) => refuseAs(context, () => requireTags(toTags(tags))))
      .describe('Tags of the key: values by tag key.'),
    policy: z
      .union([z.string().min(1), z.record(z.string(), z.unknown())])
      .transform((policy) => (typeof policy === 'string' ? policy : JSON.stringify(policy)))
      .superRefine((policy, context) => refuseAs(context, () => parseKeyPolicy(policy)))
      .optional()
      .describe('Key policy: the document, or its JSON text; the default policy when absent.'),
  })
  .superRefine(({ keySpec, keyUsage }, context) => {
    const usages: readonly string[] = KEY_SPECS[keySpec].usages
    if (keyUsage === undefined ? usages.length === 1 : usages.includes(keyUsage)) return
    const message = `A key of ${keySpec} has the usage ${usages.join(' or ')}; write which.`
    context.addIssue({ code: 'custom', path: ['keyUsage'], message })
  })

/** A whole seed; the table in docs/operating/ci.md is held to it. */
export const SEED_SCHEMA = z.strictObject({
  regions: z
    .array(name('A region'))
    .max(100)
    .default([])
    .describe('Names of regions that are served besides those of the configuration.'),
  accounts: z.array(seedAccount).max(1000).default([]).describe('Accounts and credentials.'),
  keys: z
    .array(seedKey)
    .max(1000)
    .default([])
    .describe('Master keys, made in the token where they are missing.'),
})

export type Seed = z.infer<typeof SEED_SCHEMA>

/** A key that a seed asks for, with everything filled in. */
export interface SeedKey {
  /** Where in the seed it is, such as `seed.keys.0`. */
  readonly path: string
  readonly keyId: string
  readonly accountId: string
  readonly region: string
  readonly description: string
  /** Full names. */
  readonly aliases: readonly string[]
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly tags: readonly Tag[]
  /** The document's text. */
  readonly policy?: string
}
