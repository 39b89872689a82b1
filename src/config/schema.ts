import { z } from 'zod'
import { COUNTED_INVOCATIONS_MAX } from '../core/gcm-budget.ts'
import { alibabaCredential, alibabaUid, awsAccountId, credential } from './account-schema.ts'
import { clientKey } from './client-key-schema.ts'
import { name } from './common-schema.ts'
import type { SeedKey } from './seed-schema.ts'
import { token } from './token-schema.ts'

const server = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    port: z
      .int()
      .min(0)
      .max(65_535)
      .default(7711)
      .describe('TCP port to listen on; 0 lets the system choose one.'),
    workers: z
      .int()
      .min(0)
      .max(64)
      .default(1)
      .describe(
        'Processes that serve, under a supervisor that replaces one that a PKCS#11 module crashed; 0 serves in the very process that was started. Limits per process count in each.',
      ),
    bodyBytesMax: z
      .int()
      .min(16_384)
      .max(4_194_304)
      .default(262_144)
      .describe('Longest request body. Bytes.'),
    connectionsMax: z
      .int()
      .min(1)
      .max(65_535)
      .default(4096)
      .describe('Most connections at a time, in each worker; more are closed at once.'),
    requestTimeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(10_000)
      .describe(
        'How long a request may take from its first byte to the end of its work in the token. Milliseconds.',
      ),
    drainTimeoutMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(15_000)
      .describe('How long requests in flight may take to finish after SIGTERM. Milliseconds.'),
  })
  .describe('The HTTP listener.')

const log = z
  .strictObject({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
      .default('info')
      .describe('Least severity that is written. At info there is one line per request.'),
  })
  .describe('The log: JSON lines on standard output.')

const store = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .default('store.sqlite')
      .describe(
        'SQLite file, made when absent in a folder that must be there. One service, whatever its workers, serves from it at a time.',
      ),
  })
  .describe('Where keys, versions and aliases are kept. Key material never is.')

const region = z.strictObject({
  name: name('A region').describe('Region in the scope of signatures and in ARNs, such as us-east-1.'),
})

const account = z
  .strictObject({
    awsAccountId: awsAccountId.describe('AWS account number that owns the keys, in quotes.'),
    credentials: z.array(credential).min(1).max(1000).describe('Access keys of the account.'),
    alibabaUid: alibabaUid
      .optional()
      .describe('Alibaba Cloud account id of the same owner, in quotes; both APIs show the same keys.'),
    alibabaCredentials: z
      .array(alibabaCredential)
      .max(1000)
      .optional()
      .describe('Access keys of the account for the Alibaba Cloud KMS API; they ask for alibabaUid.'),
    clientKeys: z
      .array(clientKey)
      .max(1000)
      .optional()
      .describe(
        'Client keys of the KMS Instance API of Alibaba Cloud whose private halves the operator gave out; they may use every key of the account in their region.',
      ),
  })
  .refine((value) => !value.alibabaCredentials?.length || value.alibabaUid !== undefined, {
    path: ['alibabaUid'],
    message: 'An account with alibabaCredentials has an alibabaUid.',
  })

const keys = z
  .strictObject({
    tokenForNewKeys: name('A token')
      .optional()
      .describe('Name of the token that new keys are made in; the first of `tokens` when absent.'),
    cacheMaxAgeMs: z
      .int()
      .min(0)
      .max(60_000)
      .default(1000)
      .describe('How long a key row may be used after it was read. Milliseconds.'),
    lastUsageIntervalMs: z
      .int()
      .min(100)
      .max(3_600_000)
      .default(10_000)
      .describe(
        'How often a process stores what keys were last used for, which GetKeyLastUsage tells; a process that is killed forgets what it had not stored. Milliseconds.',
      ),
    cacheEntriesMax: z
      .int()
      .min(1)
      .max(10_000_000)
      .default(100_000)
      .describe('Most key rows held in memory.'),
    maintenanceIntervalMs: z
      .int()
      .min(1000)
      .max(86_400_000)
      .default(60_000)
      .describe('Pause between rounds that destroy keys whose deletion window has ended. Milliseconds.'),
    destructionGraceMs: z
      .int()
      .min(0)
      .max(2_592_000_000)
      .default(3_600_000)
      .describe(
        'How long this process must have seen a key due before it destroys it, so that a clock that jumps or a restored backup can be noticed. Milliseconds.',
      ),
    keyVersionIntervalDays: z
      .int()
      .min(0)
      .max(365)
      .default(7)
      .describe(
        'How long after the last version of a key pair CreateKeyVersion may make another one; 7 is what Alibaba Cloud asks for. Days.',
      ),
    gcmInvocationsMax: z
      .int()
      .min(1)
      .max(COUNTED_INVOCATIONS_MAX)
      .default(COUNTED_INVOCATIONS_MAX)
      .describe(
        'Most encryptions under one key version, over all processes; past them it only decrypts. What AES-GCM allows, 2^32, less a reserve for checks of the token.',
      ),
    gcmRotateAt: z
      .int()
      .min(1)
      .max(COUNTED_INVOCATIONS_MAX)
      .default(2 ** 31)
      .describe(
        'A key whose current version has so many encryptions leased is rotated by itself; below gcmInvocationsMax.',
      ),
    gcmLeaseInvocations: z
      .int()
      .min(1)
      .max(2 ** 24)
      .default(2 ** 16)
      .describe(
        'Encryptions under a key version that a process leases from the store at a time. What it has not used when it ends is lost.',
      ),
  })
  .refine((value) => value.gcmRotateAt < value.gcmInvocationsMax, {
    path: ['gcmRotateAt'],
    message: 'Rotation must be due before gcmInvocationsMax is reached.',
  })
  .describe('How keys are held and tended.')

const aws = z
  .strictObject({
    partition: z.enum(['aws', 'aws-cn', 'aws-us-gov']).default('aws').describe('Partition in ARNs.'),
    keyPairWaitMs: z
      .int()
      .min(0)
      .max(600_000)
      .default(5_000)
      .describe(
        'How long GenerateDataKeyPair waits while the token makes other key pairs, before the caller is throttled; the end of server.requestTimeoutMs comes first where it is shorter. Milliseconds.',
      ),
  })
  .describe('The AWS KMS API.')

/** The whole configuration; `docs/config.md` is rendered from it. */
export const CONFIG_SCHEMA = z.strictObject({
  server: server.prefault({}),
  log: log.prefault({}),
  store: store.prefault({}),
  keys: keys.prefault({}),
  aws: aws.prefault({}),
  regions: z
    .array(region)
    .min(1)
    .max(100)
    .default([{ name: 'us-east-1' }])
    .describe(
      'Regions served. A key is visible in the region that it was made in, a multi-region key also where it was replicated to.',
    ),
  accounts: z.array(account).min(1).max(1000).describe('Who may call, and what they own.'),
  tokens: z.array(token).min(1).max(16).describe('Tokens that hold master keys.'),
})

export type Config = z.infer<typeof CONFIG_SCHEMA> & {
  /** What a seed asks for besides accounts and regions, which are among those above. */
  readonly seedKeys?: readonly SeedKey[]
}
