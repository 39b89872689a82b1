import { accessSync, constants, realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { findClientKeyProblems } from './client-keys.ts'
import { type SecretSource } from './common-schema.ts'
import { ConfigError, type ConfigProblem } from './config-error.ts'
import { applyEnvironment } from './environment.ts'
import { CONFIG_SCHEMA, type Config } from './schema.ts'
import { readSecret, SecretError } from './secrets.ts'
import { EMPTY_SEED, readSeed, withSeed } from './seed.ts'
import { findTokenConflicts } from './token-conflicts.ts'
import { type ConnectionConfig, connectionsOf } from './token-schema.ts'
import { readYaml } from './yaml-file.ts'

/** The environment variable that names a seed. */
export const SEED_VARIABLE = 'P11KMS_SEED'

const CONFIG_HINT = 'name it with --config, or let scripts/start make one'

/** Finds problems that only the layer concerned can see (the store's file, a token's URI). */
export type ConfigCheck = (config: Config) => readonly ConfigProblem[]

/**
 * Reads, completes and checks a configuration file. Relative paths in it are relative to its folder and come back
 * absolute.
 *
 * @param checks - Further checks of a configuration that is otherwise well-formed.
 * @throws {@link ConfigError} with every problem found.
 */
export function loadConfig(
  file: string,
  environment: NodeJS.ProcessEnv,
  checks: readonly ConfigCheck[],
): Config {
  const { config, problems } = examineConfig(file, environment, checks)
  const seed = environment[SEED_VARIABLE]
  if (problems.length > 0) throw new ConfigError(seed ? `${file} with the seed ${seed}` : file, problems)
  return config
}

/**
 * As {@link loadConfig}, for commands that make do with a part of it: sections that are wrong in themselves are empty or
 * have their defaults, and every problem comes back beside them.
 *
 * @throws {@link ConfigError} when the file cannot be read or is no YAML.
 */
export function examineConfig(
  file: string,
  environment: NodeJS.ProcessEnv,
  checks: readonly ConfigCheck[],
): { readonly config: Config; readonly problems: readonly ConfigProblem[] } {
  const document = applyEnvironment(readYaml(file, CONFIG_HINT), environment)
  const parsed = CONFIG_SCHEMA.safeParse(document, { reportInput: false })
  const issues = parsed.success ? [] : parsed.error.issues
  const own = resolvePaths(parsed.success ? parsed.data : salvage(document), dirname(resolve(file)))
  const seedFile = environment[SEED_VARIABLE]
  const seed = seedFile ? readSeed(seedFile) : EMPTY_SEED
  const seeded = withSeed(own, seed)
  const { config } = seeded
  const problems = [
    ...issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message })),
    ...seeded.problems,
    ...[findDuplicates, findUnreadable, findClientKeyProblems, findTokenConflicts, ...checks].flatMap(
      (check) => check(config),
    ),
  ]
  return { config, problems }
}

/** The sections of a wrong configuration that are right in themselves, so that their problems are told in the same message. */
function salvage(document: unknown): Config {
  const raw = typeof document === 'object' && document !== null ? document : {}
  const { shape } = CONFIG_SCHEMA
  const section = <Value>(name: string, schema: z.ZodType<Value>, fallback: Value): Value => {
    const parsed = schema.safeParse((raw as Readonly<Record<string, unknown>>)[name])
    return parsed.success ? parsed.data : fallback
  }
  return {
    server: section('server', shape.server, shape.server.parse(undefined)),
    log: section('log', shape.log, shape.log.parse(undefined)),
    store: section('store', shape.store, shape.store.parse(undefined)),
    keys: section('keys', shape.keys, shape.keys.parse(undefined)),
    aws: section('aws', shape.aws, shape.aws.parse(undefined)),
    regions: section('regions', shape.regions, []),
    accounts: section('accounts', shape.accounts, []),
    tokens: section('tokens', shape.tokens, []),
  }
}

function resolvePaths(config: Config, folder: string): Config {
  const secret = <S extends SecretSource | undefined>(source: S): S =>
    source?.file === undefined ? source : { ...source, file: resolve(folder, source.file) }
  const placed = <C extends ConnectionConfig>(connection: C): C => ({
    ...connection,
    module: resolve(folder, connection.module),
    pin: secret(connection.pin),
  })
  return {
    ...config,
    store: { ...config.store, path: resolve(folder, config.store.path) },
    accounts: config.accounts.map((account) => ({
      ...account,
      credentials: account.credentials.map((credential) => ({
        ...credential,
        secretAccessKey: secret(credential.secretAccessKey),
        sessionToken: secret(credential.sessionToken),
      })),
      ...(account.clientKeys && {
        clientKeys: account.clientKeys.map((key) => ({
          ...key,
          publicKeyFile: resolve(folder, key.publicKeyFile),
        })),
      }),
      ...(account.alibabaCredentials && {
        alibabaCredentials: account.alibabaCredentials.map((credential) => ({
          ...credential,
          accessKeySecret: secret(credential.accessKeySecret),
          securityToken: secret(credential.securityToken),
        })),
      }),
    })),
    tokens: config.tokens.map(({ replica, ...token }) => ({
      ...placed(token),
      ...(replica && { replica: placed(replica) }),
    })),
  }
}

function findDuplicates(config: Config): ConfigProblem[] {
  const credentials = config.accounts.flatMap((account, a) =>
    account.credentials.map(
      ({ accessKeyId }, c) => [`accounts.${a}.credentials.${c}.accessKeyId`, accessKeyId] as const,
    ),
  )
  const alibabaCredentials = config.accounts.flatMap((account, a) =>
    (account.alibabaCredentials ?? []).map(
      ({ accessKeyId }, c) => [`accounts.${a}.alibabaCredentials.${c}.accessKeyId`, accessKeyId] as const,
    ),
  )
  const accounts = config.accounts.map(
    (account, i) => [`accounts.${i}.awsAccountId`, account.awsAccountId] as const,
  )
  const uids = config.accounts.flatMap(({ alibabaUid }, i) =>
    alibabaUid === undefined ? [] : [[`accounts.${i}.alibabaUid`, alibabaUid] as const],
  )
  const regions = config.regions.map((region, i) => [`regions.${i}.name`, region.name] as const)
  const tokens = config.tokens.map((token, i) => [`tokens.${i}.name`, token.name] as const)
  return [credentials, alibabaCredentials, accounts, uids, regions, tokens].flatMap((entries) =>
    entries
      .filter(([, value], i) => entries.findIndex(([, other]) => other === value) !== i)
      .map(([path, value]) => ({ path, message: `${value} is there twice.` })),
  )
}

function findUnreadable(config: Config): ConfigProblem[] {
  const secrets = config.accounts.flatMap((account, a) => [
    ...account.credentials.flatMap((credential, c) => [
      [`accounts.${a}.credentials.${c}.secretAccessKey`, credential.secretAccessKey] as const,
      [`accounts.${a}.credentials.${c}.sessionToken`, credential.sessionToken] as const,
    ]),
    ...(account.alibabaCredentials ?? []).flatMap((credential, c) => [
      [`accounts.${a}.alibabaCredentials.${c}.accessKeySecret`, credential.accessKeySecret] as const,
      [`accounts.${a}.alibabaCredentials.${c}.securityToken`, credential.securityToken] as const,
    ]),
  ])
  const connections = connectionsOf(config)
  const pins = connections.map(({ path, connection }) => [`${path}.pin`, connection.pin] as const)
  return [
    ...[...secrets, ...pins].flatMap(([path, source]) => checkSecret(path, source)),
    ...connections.flatMap(({ path, connection }) => checkModule(`${path}.module`, connection.module)),
  ]
}

function checkSecret(path: string, source: SecretSource | undefined): ConfigProblem[] {
  // A descriptor can be read once, and that once is the start of the service.
  if (source === undefined || source.fd !== undefined) return []
  try {
    readSecret(source).fill(0)
    return []
  } catch (error) {
    if (error instanceof SecretError) return [{ path, message: error.message }]
    throw error
  }
}

function checkModule(path: string, module: string): ConfigProblem[] {
  try {
    accessSync(realpathSync(module), constants.R_OK)
    return []
  } catch {
    return [
      {
        path,
        message: `The PKCS#11 module ${module} is not there or not readable; install the HSM's client library.`,
      },
    ]
  }
}
