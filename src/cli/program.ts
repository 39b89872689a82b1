import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { addDoctorCommand, type DoctorActions } from './commands/doctor.ts'
import { addTokenCommands, type TokenActions } from './commands/token.ts'
import { EXIT_CODES, EXIT_MEANINGS } from './exit-codes.ts'

/**
 * What the commands do, each ending as an exit code. The composition root supplies them, so that this layer knows
 * arguments and nothing else.
 */
export interface CliActions extends TokenActions, DoctorActions {
  serve(options: ServeOptions): Promise<number>
  quickstart(options: QuickstartOptions): Promise<number>
  dev(options: DevOptions): Promise<number>
  checkConfig(options: ConfigCheckOptions): Promise<number>
}

export interface ListenOptions {
  readonly host?: string
  readonly port?: number
}

export interface ServeOptions extends ListenOptions {
  readonly config: string
  readonly workers?: number
}

export interface QuickstartOptions extends ListenOptions {
  readonly home: string
}

export interface DevOptions extends ListenOptions {
  readonly seed?: string
}

export interface ConfigCheckOptions {
  readonly config: string
  readonly json?: boolean
}

const EXIT_HELP = `
Exit codes:
${Object.entries(EXIT_MEANINGS)
  .map(([name, meaning]) => `  ${String(EXIT_CODES[name as keyof typeof EXIT_CODES]).padEnd(3)} ${meaning}`)
  .join('\n')}`

const DEFAULT_HOME = '.p11kms'
/** As in the configuration. */
const WORKERS_MAX = 64

/**
 * Runs the `p11kms` command line.
 *
 * @param argv - As in `process.argv`.
 * @returns The exit code. What an action throws is thrown on.
 */
export async function runProgram(
  actions: CliActions,
  argv: readonly string[],
  version: string,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  let exitCode: number = EXIT_CODES.ok
  const settle = async (ended: Promise<number>) => {
    exitCode = await ended
  }
  try {
    await buildProgram(actions, settle, version, environment).parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage
  }
  return exitCode
}

/**
 * The commands, their options and what they say of themselves.
 *
 * @param settle - Takes what an action comes to.
 */
export function buildProgram(
  actions: CliActions,
  settle: (ended: Promise<number>) => Promise<void>,
  version: string,
  environment: NodeJS.ProcessEnv,
): Command {
  const home = environment['P11KMS_HOME'] || DEFAULT_HOME
  const configFile = environment['P11KMS_CONFIG'] || `${home}/config.yaml`
  const program = new Command('p11kms')
    .description(
      'A key management service over any PKCS#11 HSM that speaks the AWS KMS and Alibaba Cloud KMS APIs.',
    )
    .version(version)
    .addHelpText('after', EXIT_HELP)
    .showHelpAfterError('(p11kms --help lists the commands)')
    .exitOverride()
  const listening = (name: string) =>
    program
      .command(name)
      .option('--host <address>', 'address to listen on, instead of server.host')
      .option('--port <number>', 'port to listen on, instead of server.port', parsePort)

  listening('serve')
    .description('Serve until SIGINT or SIGTERM; requests in flight are finished.')
    .option('--config <file>', 'configuration file (P11KMS_CONFIG)', configFile)
    .option('--workers <number>', 'worker processes, instead of server.workers; 0 for none', parseWorkers)
    .action((options: ServeOptions) => settle(actions.serve(options)))
  listening('quickstart')
    .description('Make what is missing (SoftHSM token, credentials, configuration, a first key), then serve.')
    .option('--home <folder>', 'where everything is kept (P11KMS_HOME)', parseFolder, home)
    .action((options: QuickstartOptions) => settle(actions.quickstart(options)))
  listening('dev')
    .description(
      'Serve from a SoftHSM token in a temporary folder, which is gone when this ends; print what a shell sources.',
    )
    .option('--seed <file>', 'accounts, credentials and keys to start with (P11KMS_SEED)')
    .action((options: DevOptions) => settle(actions.dev(options)))
  program
    .command('config')
    .description('Work with the configuration.')
    .command('check')
    .description('Check the configuration and list every problem.')
    .option('--config <file>', 'configuration file (P11KMS_CONFIG)', configFile)
    .option('--json', 'print the result as JSON')
    .action((options: ConfigCheckOptions) => settle(actions.checkConfig(options)))
  addDoctorCommand(program, actions, settle, configFile)
  addTokenCommands(program, actions, settle, configFile)
  return program
}

function parseFolder(text: string): string {
  if (text.trim() !== '') return text
  throw new InvalidArgumentError('A folder has a name.')
}

function parsePort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65_535) return port
  throw new InvalidArgumentError('A port is a number from 0 to 65535.')
}

function parseWorkers(text: string): number {
  const workers = /^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN
  if (workers <= WORKERS_MAX) return workers
  throw new InvalidArgumentError(`Workers are a number from 0 to ${WORKERS_MAX}.`)
}
