import { z } from 'zod'
import { name, secretSource } from './common-schema.ts'

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

/** A token that holds master keys. */
export const token = z
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

export type TokenConfig = z.infer<typeof token>

/** How to reach one token: of a token's own settings, or of its replica's. */
export type ConnectionConfig = Omit<z.infer<typeof replica>, 'failbackDelayMs' | 'proveIntervalMs'>

/** Every token that is connected to, replicas included, with its path in the file. */
export function connectionsOf({
  tokens,
}: {
  readonly tokens: readonly TokenConfig[]
}): readonly { readonly path: string; readonly connection: ConnectionConfig }[] {
  return tokens.flatMap((one, index) => [
    { path: `tokens.${index}`, connection: one },
    ...(one.replica ? [{ path: `tokens.${index}.replica`, connection: one.replica }] : []),
  ])
}
