import { ConfigError, type ConfigProblem } from './config-error.ts'
import { readSecret, SecretError } from './secrets.ts'

/** What the quick start makes its home with, where the environment gives it: for CI and containers. */
export interface FirstSecrets {
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly alibabaAccessKeyId?: string
  readonly alibabaAccessKeySecret?: string
  readonly userPin?: string
  readonly soPin?: string
}

/** Each variable, or the same with `_FILE`, which names a file that holds the value. */
const VARIABLES = [
  ['accessKeyId', 'P11KMS_FIRST_ACCESS_KEY_ID', /^[A-Za-z0-9]{16,128}$/, '16 to 128 letters and digits'],
  [
    'alibabaAccessKeyId',
    'P11KMS_FIRST_ALIBABA_ACCESS_KEY_ID',
    /^[A-Za-z0-9.]{16,128}$/,
    '16 to 128 letters, digits and dots',
  ],
  [
    'alibabaAccessKeySecret',
    'P11KMS_FIRST_ALIBABA_ACCESS_KEY_SECRET',
    /^[\x21-\x7e]{8,128}$/,
    '8 to 128 printable ASCII characters, no space',
  ],
  [
    'secretAccessKey',
    'P11KMS_FIRST_SECRET_ACCESS_KEY',
    /^[\x21-\x7e]{8,128}$/,
    '8 to 128 printable ASCII characters, no space',
  ],
  [
    'userPin',
    'P11KMS_FIRST_USER_PIN',
    /^[\x21-\x7e]{4,128}$/,
    '4 to 128 printable ASCII characters, no space',
  ],
  ['soPin', 'P11KMS_FIRST_SO_PIN', /^[\x21-\x7e]{4,128}$/, '4 to 128 printable ASCII characters, no space'],
] as const

/** @throws {@link ConfigError} with every problem; no secret is in it. */
export function readFirstSecrets(environment: NodeJS.ProcessEnv): FirstSecrets {
  const secrets: Record<string, string> = {}
  const problems: ConfigProblem[] = []
  for (const [name, variable, grammar, inWords] of VARIABLES) {
    try {
      const value = valueOf(environment, variable)
      if (value === undefined) continue
      if (!grammar.test(value)) problems.push({ path: variable, message: `It must be ${inWords}.` })
      secrets[name] = value
    } catch (error) {
      if (!(error instanceof SecretError)) throw error
      problems.push({ path: `${variable}_FILE`, message: error.message })
    }
  }
  if (problems.length > 0) throw new ConfigError('environment', problems)
  return secrets
}

/** An empty variable counts as none: compose files hand on what is not set as empty. */
function valueOf(environment: NodeJS.ProcessEnv, variable: string): string | undefined {
  const [text, file] = [environment[variable], environment[`${variable}_FILE`]]
  if (text && file) throw new SecretError(`${variable} is set as well: give one of them.`)
  if (!file) return text || undefined
  const secret = readSecret({ file })
  try {
    return secret.toString('utf8')
  } finally {
    secret.fill(0)
  }
}
