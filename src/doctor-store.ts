import { existsSync } from 'node:fs'
import type { Config } from './config/schema.ts'
import type { Check } from './core/inspection/doctor-report.ts'
import type { MasterKey } from './core/key.ts'
import { readKeys } from './store/read-keys.ts'
import { inspectStoreFile } from './store/sqlite-file.ts'
import { StoreOpenError, type StoreProblem } from './store/store-open-error.ts'

/** The file of the store, and the keys in it; nothing is changed and no lock is taken. */
export async function checkStore({ store: { path }, tokens }: Config): Promise<Check[]> {
  const problems = inspectStoreFile(path)
  if (problems.length > 0) return problems.map(problemCheck)
  if (!existsSync(path))
    return [{ state: 'ok', code: 'STORE_FILE', message: `${path} is not there yet; the service makes it` }]
  try {
    const keys = (await readKeys(path)).filter(({ state }) => state !== 'Deleted')
    const message = `${path} is sound; ${keys.length === 1 ? '1 key' : `${keys.length} keys`}`
    return [{ state: 'ok', code: 'STORE_FILE', message }, ...strayChecks(keys, tokens)]
  } catch (error) {
    if (error instanceof StoreOpenError) return error.problems.map(problemCheck)
    throw error
  }
}

/** An older store is what every upgrade begins with. */
function problemCheck({ code, problem, hint }: StoreProblem): Check {
  return {
    state: code === 'SCHEMA_OLDER' ? 'warn' : 'fail',
    code: 'STORE_FILE',
    message: problem,
    next: hint,
  }
}

/** Keys remember the name of their token for ever. */
function strayChecks(keys: readonly MasterKey[], tokens: Config['tokens']): Check[] {
  const names = new Set(tokens.map(({ name }) => name))
  const strays = Map.groupBy(
    keys.filter(({ token }) => !names.has(token)),
    ({ token }) => token,
  )
  return [...strays].map(([token, group]) => ({
    state: 'fail',
    code: 'STORE_KEYS',
    message: `${group.length === 1 ? '1 key is' : `${group.length} keys are`} in token "${token}", which is not configured`,
    next: 'Configure the token under that name again, or delete its keys.',
  }))
}
