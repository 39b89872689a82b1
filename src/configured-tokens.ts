import { realpathSync } from 'node:fs'
import { ConfigError } from './config/config-error.ts'
import { examineConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import type { ConnectionConfig } from './config/token-schema.ts'
import { errnoOf } from './lib/errno.ts'
import { InspectionError } from './providers/pkcs11/inspect/inspection-error.ts'
import type { LibraryRequest } from './providers/pkcs11/inspect/jobs.ts'
import { parseTokenSelector, type TokenCriteria } from './providers/pkcs11/token-selector.ts'

/**
 * The configuration, for commands that look into its tokens: what else is wrong with it is no hindrance to them.
 *
 * @throws {@link ConfigError} with every problem when it has no usable tokens.
 */
export function configWithTokens(file: string): Config {
  const { config, problems } = examineConfig(file, process.env, [])
  if (config.tokens.length === 0) throw new ConfigError(file, problems)
  return config
}

/** A token that a command can look into: one of the configuration, or its replica. */
export interface NamedToken extends ConnectionConfig {
  /** Its name in the configuration; a replica is `NAME/replica`. */
  readonly name: string
  /** Name by which keys remember it. */
  readonly holder: string
  /** Where it is in the configuration. */
  readonly path: string
  readonly allowHostMemory: boolean
  readonly pairTimeoutMs: number
}

/** Every token, each followed by its replica. */
export function namedTokens({ tokens }: Pick<Config, 'tokens'>): readonly NamedToken[] {
  return tokens.flatMap((token, index) => {
    const { allowHostMemory, pairTimeoutMs } = token
    const shared = { holder: token.name, allowHostMemory, pairTimeoutMs }
    const path = `tokens.${index}`
    const primary = { ...token, ...shared, path }
    if (!token.replica) return [primary]
    return [primary, { ...token.replica, ...shared, name: `${token.name}/replica`, path: `${path}.replica` }]
  })
}

/** @throws {@link ConfigError} naming the tokens that there are. */
export function requireToken(name: string, config: Config, file: string): NamedToken {
  const tokens = namedTokens(config)
  const token = tokens.find((one) => one.name === name)
  if (token) return token
  const known = tokens.map((one) => one.name).join(', ')
  throw new ConfigError(file, [
    { path: 'tokens', message: `There is no token "${name}"; there is ${known}.` },
  ])
}

/** What the configuration selects the token by. */
export function criteriaOf({ label, serial, uri }: ConnectionConfig): TokenCriteria {
  return parseTokenSelector({ ...(label && { label }), ...(serial && { serial }), ...(uri && { uri }) })
}

/** What the modules read with getenv in a process that serves: the variables of all tokens together. */
export function environmentOf(config: Config): Readonly<Record<string, string>> {
  return Object.assign({}, ...namedTokens(config).map(({ environment }) => environment)) as Record<
    string,
    string
  >
}

/**
 * The library at `path`, without symbolic links.
 *
 * @throws {@link InspectionError} when there is no such file.
 */
export function libraryRequest(path: string, libraryParameters: string | undefined): LibraryRequest {
  try {
    return { path: realpathSync(path), ...(libraryParameters !== undefined && { libraryParameters }) }
  } catch (error) {
    throw new InspectionError({ kind: 'load', message: `${path} cannot be found (${errnoOf(error)})` })
  }
}
