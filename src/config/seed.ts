import { dirname, resolve } from 'node:path'
import { KEY_SPECS } from '../core/key-spec.ts'
import type { SecretSource } from './common-schema.ts'
import type { ConfigProblem } from './config-error.ts'
import type { Config } from './schema.ts'
import { SEED_SCHEMA, type Seed, type SeedKey, toTags } from './seed-schema.ts'
import { readYaml } from './yaml-file.ts'

/** A seed, or what is right of one, and what is wrong with it. */
export interface ReadSeed {
  readonly seed: Seed
  readonly problems: readonly ConfigProblem[]
}

/** What every path of a seed's problem opens with. */
const ROOT = 'seed'

export const EMPTY_SEED: ReadSeed = { seed: SEED_SCHEMA.parse({}), problems: [] }

/**
 * Reads a seed. Relative paths in it are relative to its folder and come back absolute.
 *
 * @throws {@link ConfigError} when the file cannot be read or is no YAML.
 */
export function readSeed(file: string): ReadSeed {
  const document = readYaml(file, 'P11KMS_SEED and --seed name it')
  const parsed = SEED_SCHEMA.safeParse(document, { reportInput: false })
  if (parsed.success) return { seed: resolveFiles(parsed.data, dirname(resolve(file))), problems: [] }
  const problems = parsed.error.issues.map(({ path, message }) => ({
    path: [ROOT, ...path].join('.'),
    message,
  }))
  return { seed: EMPTY_SEED.seed, problems }
}

/**
 * A configuration with the accounts, regions and keys of a seed, and what does not fit: a key of an account or a region that
 * neither has, an id or an alias that is there twice. Credentials that are there twice are found with the configuration's.
 */
export function withSeed(
  config: Config,
  { seed, problems }: ReadSeed,
): { readonly config: Config; readonly problems: readonly ConfigProblem[] } {
  const regions = [...config.regions, ...seed.regions.map((name) => ({ name }))].filter(
    ({ name }, index, all) =>
      index < config.regions.length || all.findIndex((one) => one.name === name) === index,
  )
  const accounts = mergeAccounts(config, seed)
  const fallback = {
    account: (seed.accounts[0] ?? config.accounts[0])?.awsAccountId,
    region: seed.regions[0] ?? config.regions[0]?.name,
  }
  const seedKeys = seed.keys.map(
    (
      {
        account = fallback.account ?? '',
        region = fallback.region ?? '',
        tags,
        policy,
        keySpec,
        keyUsage,
        ...key
      },
      index,
    ): SeedKey => ({
      ...key,
      tags: toTags(tags),
      spec: keySpec,
      usage: keyUsage ?? KEY_SPECS[keySpec].usages[0],
      ...(policy !== undefined && { policy }),
      path: `${ROOT}.keys.${index}`,
      accountId: account,
      region,
    }),
  )
  const merged = { ...config, regions, accounts, ...(seedKeys.length > 0 && { seedKeys }) }
  return {
    config: merged,
    problems: [
      ...problems,
      ...accountProblems(config, seed, merged),
      ...seedKeys.flatMap((key) => strayProblems(merged, key)),
      ...findTwice(seedKeys),
    ],
  }
}

type Account = Config['accounts'][number]
type SeedAccount = Seed['accounts'][number]

function mergeAccounts(config: Config, seed: Seed): Account[] {
  const accounts = [...config.accounts]
  for (const account of seed.accounts) {
    const index = accounts.findIndex(({ awsAccountId }) => awsAccountId === account.awsAccountId)
    accounts.splice(index === -1 ? accounts.length : index, 1, mergeAccount(accounts[index], account))
  }
  return accounts
}

function mergeAccount(before: Account | undefined, added: SeedAccount): Account {
  const credentials = added.credentials.map(({ secretAccessKey, sessionToken, ...credential }) => ({
    ...credential,
    secretAccessKey: sourceOf(secretAccessKey),
    ...(sessionToken !== undefined && { sessionToken: sourceOf(sessionToken) }),
  }))
  const ofAlibaba = added.alibabaCredentials.map(({ accessKeySecret, securityToken, ...credential }) => ({
    ...credential,
    accessKeySecret: sourceOf(accessKeySecret),
    ...(securityToken !== undefined && { securityToken: sourceOf(securityToken) }),
  }))
  const alibabaUid = before?.alibabaUid ?? added.alibabaUid
  const alibabaCredentials = [...(before?.alibabaCredentials ?? []), ...ofAlibaba]
  return {
    ...before,
    awsAccountId: added.awsAccountId,
    credentials: [...(before?.credentials ?? []), ...credentials],
    ...(alibabaUid !== undefined && { alibabaUid }),
    ...(alibabaCredentials.length > 0 && { alibabaCredentials }),
  }
}

function sourceOf(secret: string | SecretSource): SecretSource {
  return typeof secret === 'string' ? { literal: secret } : secret
}

function resolveFiles(seed: Seed, folder: string): Seed {
  const placed = <S extends string | SecretSource | undefined>(secret: S): S =>
    typeof secret === 'object' && secret.file !== undefined
      ? { ...secret, file: resolve(folder, secret.file) }
      : secret
  return {
    ...seed,
    accounts: seed.accounts.map((account) => ({
      ...account,
      credentials: account.credentials.map((credential) => ({
        ...credential,
        secretAccessKey: placed(credential.secretAccessKey),
        ...(credential.sessionToken !== undefined && { sessionToken: placed(credential.sessionToken) }),
      })),
      alibabaCredentials: account.alibabaCredentials.map((credential) => ({
        ...credential,
        accessKeySecret: placed(credential.accessKeySecret),
        ...(credential.securityToken !== undefined && { securityToken: placed(credential.securityToken) }),
      })),
    })),
  }
}

function accountProblems(config: Config, seed: Seed, { accounts }: Config): ConfigProblem[] {
  const empty = accounts
    .filter(({ credentials }) => credentials.length === 0)
    .map(({ awsAccountId }) => ({ path: ROOT, message: `Account ${awsAccountId} has no credential.` }))
  const uids = seed.accounts.flatMap(({ awsAccountId, alibabaUid, alibabaCredentials }, index) => {
    const path = `${ROOT}.accounts.${index}.alibabaUid`
    const own = config.accounts.find((account) => account.awsAccountId === awsAccountId)?.alibabaUid
    if (own !== undefined && alibabaUid !== undefined && own !== alibabaUid)
      return [{ path, message: `The account has ${own} in the configuration.` }]
    if ((own ?? alibabaUid) !== undefined || alibabaCredentials.length === 0) return []
    return [{ path, message: 'An account with alibabaCredentials has an alibabaUid.' }]
  })
  return [...empty, ...uids]
}

function strayProblems({ accounts, regions }: Config, { path, accountId, region }: SeedKey): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (!accounts.some(({ awsAccountId }) => awsAccountId === accountId))
    problems.push({
      path: `${path}.account`,
      message: `There is no account ${accountId}; add it under accounts.`,
    })
  if (!regions.some(({ name }) => name === region))
    problems.push({ path: `${path}.region`, message: `There is no region ${region}; add it under regions.` })
  return problems
}

function findTwice(keys: readonly SeedKey[]): ConfigProblem[] {
  const ids = keys.map(({ path, keyId }) => ({ path: `${path}.keyId`, id: keyId, shown: keyId }))
  const aliases = keys.flatMap(({ path, accountId, region, aliases: names }) =>
    names.map((name, i) => ({
      path: `${path}.aliases.${i}`,
      id: `${accountId}/${region}/${name}`,
      shown: name,
    })),
  )
  return [ids, aliases].flatMap((all) =>
    all
      .filter(({ id }, index) => all.findIndex((other) => other.id === id) !== index)
      .map(({ path, shown }) => ({ path, message: `${shown} is there twice.` })),
  )
}
