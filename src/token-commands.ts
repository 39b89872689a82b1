import { resolve } from 'node:path'
import type { InspectionOptions } from './cli/commands/inspection-options.ts'
import type { TokenListOptions } from './cli/commands/token.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { printLine } from './cli/output.ts'
import { renderDetails, renderModules } from './cli/render/token.ts'
import {
  configWithTokens,
  criteriaOf,
  environmentOf,
  libraryRequest,
  type NamedToken,
  namedTokens,
  requireToken,
} from './configured-tokens.ts'
import type { ModuleReport, SlotReport } from './core/inspection/token-report.ts'
import { InspectionError } from './providers/pkcs11/inspect/inspection-error.ts'
import { type InspectionSettings, inspect } from './providers/pkcs11/inspect/inspector.ts'
import { matchesCriteria } from './providers/pkcs11/token-selector.ts'

/** A library, and the configured tokens that are reached through it. */
interface ConfiguredModule {
  readonly path: string
  readonly libraryParameters: string | undefined
  readonly tokens: readonly NamedToken[]
}

/** `p11kms token list`. */
export async function listTokens(options: TokenListOptions): Promise<number> {
  const { module: path, parameters: libraryParameters } = options
  const config = path === undefined ? configWithTokens(options.config) : undefined
  const modules =
    path === undefined
      ? modulesOf(config ? namedTokens(config) : [])
      : [{ path: resolve(path), libraryParameters, tokens: [] }]
  const settings = { environment: config ? environmentOf(config) : {}, callTimeoutMs: options.timeout * 1000 }
  const reports: ModuleReport[] = []
  // One after the other: two processes in one library may wait for each other.
  for (const module of modules) reports.push(await reportModule(module, settings))
  const json = { format: 'p11kms.token-list/1', modules: reports }
  printLine(options.json ? JSON.stringify(json) : renderModules(reports))
  return reports.some(({ problem }) => problem) ? EXIT_CODES.unavailable : EXIT_CODES.ok
}

/** `p11kms token info`. */
export async function showToken(name: string, options: InspectionOptions): Promise<number> {
  const config = configWithTokens(options.config)
  const token = requireToken(name, config, options.config)
  const details = await inspect(
    'describeToken',
    { ...libraryRequest(token.module, token.libraryParameters), criteria: criteriaOf(token) },
    { environment: environmentOf(config), callTimeoutMs: options.timeout * 1000 },
  )
  const json = { format: 'p11kms.token-info/1', name, ...details }
  printLine(options.json ? JSON.stringify(json) : renderDetails(name, details))
  return EXIT_CODES.ok
}

function modulesOf(tokens: readonly NamedToken[]): readonly ConfiguredModule[] {
  const groups = Map.groupBy(tokens, ({ module, libraryParameters }) => `${module}\0${libraryParameters}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    return first ? [{ path: first.module, libraryParameters: first.libraryParameters, tokens: group }] : []
  })
}

async function reportModule(module: ConfiguredModule, settings: InspectionSettings): Promise<ModuleReport> {
  const { path, libraryParameters, tokens } = module
  const report = { module: path, configured: tokens.map(({ name }) => name) }
  try {
    const request = libraryRequest(path, libraryParameters)
    const { library, slots } = await inspect('listSlots', request, settings)
    return { ...report, library, slots: slots.map((slot) => withName(slot, tokens)) }
  } catch (error) {
    if (error instanceof InspectionError) return { ...report, slots: [], problem: error.problem }
    throw error
  }
}

function withName(slot: SlotReport, tokens: readonly NamedToken[]): SlotReport {
  const { token, slotId } = slot
  const named = token && tokens.find((one) => matchesCriteria({ ...token, slotId }, criteriaOf(one)))
  return named ? { ...slot, token: { ...token, configuredAs: named.name } } : slot
}
