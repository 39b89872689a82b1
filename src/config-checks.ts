import { statSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { ConfigProblem } from './config/config-error.ts'
import type { ConfigCheck } from './config/load.ts'
import { type Config } from './config/schema.ts'
import { type ConnectionConfig, connectionsOf } from './config/token-schema.ts'
import { parseTokenSelector, type TokenCriteria } from './providers/pkcs11/token-selector.ts'
import { inspectStoreFile } from './store/sqlite-file.ts'

/** What only the layers concerned can see of a configuration. */
export const CONFIG_CHECKS: readonly ConfigCheck[] = [checkStore, checkTokens]

function checkStore(config: Config): ConfigProblem[] {
  return inspectStoreFile(config.store.path).map(({ problem, hint }) => ({
    path: 'store.path',
    message: `${problem} ${hint}`,
  }))
}

/** A token selected in two ways is found when it connects. */
function checkTokens(config: Config): ConfigProblem[] {
  const seen: SeenToken[] = []
  return connectionsOf(config).flatMap(({ path, connection: token }) => {
    const criteria = criteriaOf(token)
    if (criteria instanceof Error) return [{ path, message: criteria.message }]
    const seenToken = { path, token, module: fileIdOf(token.module), criteria }
    const problems = seen.flatMap((before) => conflictOf(before, seenToken))
    seen.push(seenToken)
    return problems.slice(0, 1)
  })
}

interface SeenToken {
  readonly path: string
  readonly token: ConnectionConfig
  readonly module: string
  readonly criteria: TokenCriteria
}

function conflictOf(before: SeenToken, { path, token, module, criteria }: SeenToken): ConfigProblem[] {
  if (before.module !== module) return []
  if (isDeepStrictEqual(before.criteria, criteria)) {
    return [{ path, message: `It is the same token as ${before.path}: a token is configured once.` }]
  }
  if (before.token.libraryParameters === token.libraryParameters) return []
  const message = `They differ from those of ${before.path}, and a module is initialized once per process.`
  return [{ path: `${path}.libraryParameters`, message }]
}

function criteriaOf({ label, serial, uri }: ConnectionConfig): TokenCriteria | Error {
  try {
    return parseTokenSelector({ ...(label && { label }), ...(serial && { serial }), ...(uri && { uri }) })
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Links of every kind lead to one file. One that is not there is another check's. */
function fileIdOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats ? `${stats.dev}:${stats.ino}` : path
}
