import { type SecretSource } from './common-schema.ts'
import type { ConfigProblem } from './config-error.ts'
import { type Config } from './schema.ts'
import { connectionsOf } from './token-schema.ts'

/** What the settings of several tokens say against each other. What only the tokens tell is found when they connect. */
export function findTokenConflicts(config: Config): ConfigProblem[] {
  return [
    ...findUnknownTokenForNewKeys(config),
    ...findEnvironmentConflicts(config),
    ...findSharedDescriptors(config),
  ]
}

function findUnknownTokenForNewKeys({ keys, tokens }: Config): ConfigProblem[] {
  const wanted = keys.tokenForNewKeys
  // Where the tokens themselves are ill-formed, none can be looked up.
  if (wanted === undefined || tokens.length === 0 || tokens.some(({ name }) => name === wanted)) return []
  const names = tokens.map(({ name }) => name).join(', ')
  return [{ path: 'keys.tokenForNewKeys', message: `No token is named ${wanted}; there are: ${names}.` }]
}

/** A module reads the environment of the process, and that is one. */
function findEnvironmentConflicts(config: Config): ConfigProblem[] {
  const first = new Map<string, { readonly value: string; readonly path: string }>()
  const problems: ConfigProblem[] = []
  for (const { path: at, connection } of connectionsOf(config)) {
    for (const [variable, value] of Object.entries(connection.environment)) {
      const path = `${at}.environment.${variable}`
      const before = first.get(variable) ?? { value, path }
      first.set(variable, before)
      if (before.value === value) continue
      const message = `It differs from ${before.path}, and a process has one environment. Give both the same value, or serve the tokens from two processes.`
      problems.push({ path, message })
    }
  }
  return problems
}

/** A descriptor can be read once: whoever comes second gets nothing. */
function findSharedDescriptors(config: Config): ConfigProblem[] {
  const sources: (readonly [path: string, source: SecretSource | undefined])[] = [
    ...config.accounts.flatMap(({ credentials }, a) =>
      credentials.flatMap((credential, c) => [
        [`accounts.${a}.credentials.${c}.secretAccessKey`, credential.secretAccessKey] as const,
        [`accounts.${a}.credentials.${c}.sessionToken`, credential.sessionToken] as const,
      ]),
    ),
    ...connectionsOf(config).map(({ path, connection }) => [`${path}.pin`, connection.pin] as const),
  ]
  const first = new Map<number, string>()
  return sources.flatMap(([path, source]) => {
    if (source?.fd === undefined) return []
    const before = first.get(source.fd)
    if (before === undefined) first.set(source.fd, path)
    return before === undefined
      ? []
      : [{ path, message: `The descriptor is that of ${before} too, and can be read once.` }]
  })
}
