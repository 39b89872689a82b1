import { z } from 'zod'
import { COUNTED_INVOCATIONS_MAX } from '../core/gcm-budget.ts'

/** Where a secret comes from: exactly one of a file, a descriptor that the service manager opened, or the environment. */
const secretSource = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Path of a file that holds the secret, writable by its owner alone; one trailing newline is cut off.',
      ),
    fd: z
      .int()
      .min(3)
      .max(1023)
      .optional()
      .describe('File descriptor to read the secret from, once, at start.'),
    env: z.string().min(1).optional().describe('Name of an environment variable of the service.'),
  })
  .refine((source) => Object.values(source).filter((value) => value !== undefined).length === 1, {
    message: 'Name exactly one of file, fd and env.',
  })

const name = (what: string) =>
  z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, `${what} has 1 to 63 lower-case letters, digits and hyphens.`)

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

const credential = z.strictObject({
  accessKeyId: z
    .string()
    .regex(/^[A-Za-z0-9]{16,128}$/, 'An access key id has 16 to 128 letters and digits.')
    .describe('Public part of the credential.'),
  secretAccessKey: secretSource.describe('Secret part of the credential.'),
  sessionToken: secretSource
    .optional()
    .describe('Session token that each request must carry; absent for a long-term credential.'),
  expiresAt: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When the credential stops working (RFC 3339); never when absent.'),
})

const account = z.strictObject({
  awsAccountId: z
    .string()
    .regex(/^[0-9]{12}$/, 'An AWS account id has 12 digits; put it in quotes.')
    .describe('AWS account number that owns the keys, in quotes.'),
  credentials: z.array(credential).min(1).max(1000).describe('Access keys of the account.'),
})

/** How to reach one token, and how much of it to use. */
const connection = {
  module: z.string().min(1).describe('Path of the PKCS#11 module (a shared library).'),
  label: z.string().min(1).max(32).optional().describe('Label of the token (CKA: CK_TOKEN_INFO.label).'),
  serial: z.string().min(1).max(16).optional().describe('Serial number of the token; wins over the label.'),
  uri: z
    .string()
    .startsWith('pkcs11:')
    .max(1024)
    .optional()
    .describe('RFC 7512 URI of the token, without a PIN.'),
  pin: secretSource.describe(
    'User PIN. A wrong one is tried once; the source is then watched, and one other PIN is tried before a restart is needed.',
  ),
  userType: z
    .union([z.literal('user'), z.int().min(0x8000_0000).max(0xffff_ffff)])
    .default('user')
    .describe(
      'Role that logs in: user, or the number of a vendor role, such as 2147483649 for the Crypto User of a Luna partition.',
    ),
  libraryParameters: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe('Initialization string that the module wants (NSS); others take none.'),
  environment: z
    .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string())
    .default({})
    .describe('Environment variables that the module reads, such as SOFTHSM2_CONF.'),
  lanes: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('Sessions that do cryptography at a time: 1 for SoftHSM, about 16 for a network HSM.'),
  queueMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(1024)
    .describe('Most calls that wait for a lane; more are refused as throttled.'),
  laneTimeoutMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(10_000)
    .describe('A lane whose call takes longer is given up and replaced. Milliseconds.'),
  lostLanesMax: z
    .int()
    .min(0)
    .max(1000)
    .default(8)
    .describe(
      'Lanes that may hang in the module at a time before the process ends, for its service manager to start it anew.',
    ),
  reconnectDelayMs: z
    .int()
    .min(50)
    .max(600_000)
    .default(1000)
    .describe(
      'Longest pause between attempts to reach an absent token; the first are 50 ms apart. Milliseconds.',
    ),
  moduleRestartIntervalMs: z
    .int()
    .min(100)
    .max(86_400_000)
    .default(30_000)
    .describe(
      'While other tokens of the same module work: how long an absent token is tried without initializing the module anew, and the pause between two such initializations, which interrupt the others for a moment; it doubles up to 16 times that. Milliseconds.',
    ),
}

const isSelected = {
  check: (value: { readonly label?: unknown; readonly serial?: unknown; readonly uri?: unknown }) =>
    value.label !== undefined || value.serial !== undefined || value.uri !== undefined,
  message: 'Name the token by label, serial or uri.',
}

const replica = z
  .strictObject({
    ...connection,
    failbackDelayMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(5000)
      .describe('How long a token that was away must be back before it serves again. Milliseconds.'),
    proveIntervalMs: z
      .int()
      .min(1000)
      .max(3_600_000)
      .default(30_000)
      .describe(
        'Pause between rounds that look for key versions whose copy can be proven, while some are not. Milliseconds.',
      ),
  })
  .refine(isSelected.check, { message: isSelected.message })

const token = z
  .strictObject({
    name: name('A token').describe(
      'What keys remember as the place of their material. Never change it while keys exist.',
    ),
    ...connection,
    allowHostMemory: z
      .boolean()
      .default(false)
      .describe(
        'Whether a data key, or the private key of a pair, that a caller wants without its plaintext may be made in host memory where the token cannot make it inside.',
      ),
    pairTimeoutMs: z
      .int()
      .min(1000)
      .max(600_000)
      .default(60_000)
      .describe(
        'How long the token may take to make one key pair. A lane that takes longer is given up; a process that dies while it makes one keeps the others waiting for as long, and ten seconds. Milliseconds.',
      ),
    replica: replica
      .optional()
      .describe(
        "A second token that holds copies of the same keys, made by the vendor's means or in a ceremony, and serves those that are proven while the first is away.",
      ),
  })
  .refine(isSelected.check, { message: isSelected.message })

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
    .describe('Regions served. A key is visible in the region that it was made in.'),
  accounts: z.array(account).min(1).max(1000).describe('Who may call, and what they own.'),
  tokens: z.array(token).min(1).max(16).describe('Tokens that hold master keys.'),
})

export type Config = z.infer<typeof CONFIG_SCHEMA>
export type SecretSource = z.infer<typeof secretSource>
export type TokenConfig = Config['tokens'][number]
/** How to reach one token: of a token's own settings, or of its replica's. */
export type ConnectionConfig = Omit<z.infer<typeof replica>, 'failbackDelayMs' | 'proveIntervalMs'>

/** Every token that is connected to, replicas included, with its path in the file. */
export function connectionsOf({
  tokens,
}: Pick<Config, 'tokens'>): readonly { readonly path: string; readonly connection: ConnectionConfig }[] {
  return tokens.flatMap((one, index) => [
    { path: `tokens.${index}`, connection: one },
    ...(one.replica ? [{ path: `tokens.${index}.replica`, connection: one.replica }] : []),
  ])
}
