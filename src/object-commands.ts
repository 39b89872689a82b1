import type { ObjectsOptions } from './cli/commands/token.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { printLine } from './cli/output.ts'
import { renderInventory } from './cli/render/inventory.ts'
import { ConfigError } from './config/config-error.ts'
import type { Config } from './config/schema.ts'
import { readSecret, SecretError } from './config/secrets.ts'
import {
  configWithTokens,
  criteriaOf,
  environmentOf,
  libraryRequest,
  type NamedToken,
  requireToken,
} from './configured-tokens.ts'
import type { Finding, InventoryReport } from './core/inspection/object-report.ts'
import type { MasterKey } from './core/key.ts'
import { inspect } from './providers/pkcs11/inspect/inspector.ts'
import type { TokenWalk } from './providers/pkcs11/inspect/jobs.ts'
import { knownKeys } from './providers/pkcs11/inspect/lint/known-versions.ts'
import { lintToken, waivedBy } from './providers/pkcs11/inspect/lint/lint.ts'
import { readKeys } from './store/read-keys.ts'
import { StoreOpenError } from './store/store-open-error.ts'

/** Objects of one token that are looked at. */
const OBJECTS_MAX = 10_000

/** `p11kms token objects`. */
export async function listObjects(name: string, options: ObjectsOptions): Promise<number> {
  const config = configWithTokens(options.config)
  const token = requireToken(name, config, options.config)
  const report = await takeInventory(config, token, options)
  const json = { format: 'p11kms.token-objects/1', name, ...report }
  printLine(options.json ? JSON.stringify(json) : renderInventory(name, report))
  return report.summary.errors > 0 ? EXIT_CODES.problems : EXIT_CODES.ok
}

/** The store is read before and after the token, so that what a running service changes meanwhile is not told as wrong. */
async function takeInventory(
  config: Config,
  token: NamedToken,
  options: ObjectsOptions,
): Promise<InventoryReport> {
  const before = options.store ? await keysOrProblem(config) : undefined
  const walk = await walkToken(config, token, options)
  const after = before instanceof StoreOpenError || !before ? before : await keysOrProblem(config)
  const known =
    Array.isArray(before) && Array.isArray(after) ? knownKeys(before, after, token.holder) : undefined
  const unread = after instanceof StoreOpenError ? [notRead(after)] : []
  const linted = lintToken(walk, known, waivedBy(walk.slot), unread)
  return { library: walk.library, slot: walk.slot, ...linted }
}

async function walkToken(config: Config, token: NamedToken, options: ObjectsOptions): Promise<TokenWalk> {
  const library = libraryRequest(token.module, token.libraryParameters)
  const pin = readPin(token, options.config)
  try {
    return await inspect(
      'walkToken',
      {
        ...library,
        ...(token.userType !== 'user' && { userType: token.userType }),
        criteria: criteriaOf(token),
        objectsMax: OBJECTS_MAX,
      },
      { environment: environmentOf(config), callTimeoutMs: options.timeout * 1000, pin },
    )
  } finally {
    pin.fill(0)
  }
}

/** @throws {@link ConfigError} when the PIN cannot be read. */
function readPin(token: NamedToken, file: string): Buffer {
  try {
    return readSecret(token.pin)
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    throw new ConfigError(file, [{ path: `${token.path}.pin`, message: error.message }])
  }
}

async function keysOrProblem(config: Config): Promise<readonly MasterKey[] | StoreOpenError> {
  try {
    return await readKeys(config.store.path)
  } catch (error) {
    if (error instanceof StoreOpenError) return error
    throw error
  }
}

function notRead({ problems }: StoreOpenError): Finding {
  return {
    severity: 'warning',
    code: 'STORE_NOT_READ',
    message: `Objects are not compared with the store. ${problems.map(({ problem }) => problem).join(' ')}`,
    next: `${problems.map(({ hint }) => hint).join(' ')} --no-store leaves it out.`,
  }
}
