import type { Command } from 'commander'
import { addInspectionOptions, type InspectionOptions } from './inspection-options.ts'

/** What the commands under `p11kms token` do, each ending as an exit code. */
export interface TokenActions {
  listTokens(options: TokenListOptions): Promise<number>
  showToken(name: string, options: InspectionOptions): Promise<number>
  listObjects(name: string, options: ObjectsOptions): Promise<number>
}

export interface TokenListOptions extends InspectionOptions {
  /** A library to look into instead of the configured ones. */
  readonly module?: string
  /** Initialization string for that library. */
  readonly parameters?: string
}

export interface ObjectsOptions extends InspectionOptions {
  /** False to leave the store out. */
  readonly store: boolean
}

/** Adds `token list`, `token info` and `token objects` to the program. */
export function addTokenCommands(
  program: Command,
  actions: TokenActions,
  settle: (ended: Promise<number>) => Promise<void>,
  configFile: string,
): void {
  const token = program.command('token').description('Look into tokens; nothing in them is changed.')
  const inspecting = (name: string) => addInspectionOptions(token.command(name), configFile)

  inspecting('list')
    .description('Show every slot and token of the configured modules, or of one. Needs no PIN.')
    .option('--module <path>', 'PKCS#11 library to look into instead of the configured ones')
    .option('--parameters <text>', 'initialization string for that library (NSS)')
    .action((options: TokenListOptions) => settle(actions.listTokens(options)))
  inspecting('info <token>')
    .description('Show one configured token, its library and the mechanisms that it lists. Needs no PIN.')
    .action((name: string, options: InspectionOptions) => settle(actions.showToken(name, options)))
  inspecting('objects <token>')
    .description('Log in to one configured token and check every object in it against the store.')
    .option('--no-store', 'leave the store out')
    .action((name: string, options: ObjectsOptions) => settle(actions.listObjects(name, options)))
}
