import { Command, InvalidArgumentError } from 'commander'

/** What the commands do; the composition root supplies it, so that this layer knows arguments and nothing else. */
export interface CliActions {
  serve(options: ServeOptions): Promise<void>
  quickstart(options: QuickstartOptions): Promise<void>
  checkConfig(options: ConfigCheckOptions): Promise<void>
}

export interface ListenOptions {
  readonly host?: string
  readonly port?: number
}

export interface ServeOptions extends ListenOptions {
  readonly config: string
}

export interface QuickstartOptions extends ListenOptions {
  readonly home: string
}

export interface ConfigCheckOptions {
  readonly config: string
  readonly json?: boolean
}

/** Exit codes of the binary; sysexits.h where it has one. */
export const EXIT_CODES = { ok: 0, usage: 64, unavailable: 69, software: 70, io: 74, config: 78 } as const

const EXIT_HELP = `
Exit codes: 0 done, ${EXIT_CODES.usage} wrong arguments, ${EXIT_CODES.unavailable} something needed is missing, ${EXIT_CODES.software} internal error,
${EXIT_CODES.io} store or address cannot be used, ${EXIT_CODES.config} wrong configuration.`

const DEFAULT_HOME = '.p11kms'

/** The `p11kms` command line. Throws {@link CommanderError} for wrong arguments, after it has printed why. */
export function createProgram(actions: CliActions, version: string, environment: NodeJS.ProcessEnv): Command {
  const home = environment['P11KMS_HOME'] || DEFAULT_HOME
  const configFile = environment['P11KMS_CONFIG'] || `${home}/config.yaml`
  const program = new Command('p11kms')
    .description('A key management service over any PKCS#11 HSM that speaks the AWS KMS API.')
    .version(version)
    .addHelpText('after', EXIT_HELP)
    .showHelpAfterError('(p11kms --help lists the commands)')
    .exitOverride()

  program
    .command('serve')
    .description('Serve until SIGINT or SIGTERM; requests in flight are finished.')
    .option('--config <file>', 'configuration file (P11KMS_CONFIG)', configFile)
    .option('--host <address>', 'address to listen on, instead of server.host')
    .option('--port <number>', 'port to listen on, instead of server.port', parsePort)
    .action((options: ServeOptions) => actions.serve(options))

  program
    .command('quickstart')
    .description('Make what is missing (SoftHSM token, credentials, configuration, a first key), then serve.')
    .option('--home <folder>', 'where everything is kept (P11KMS_HOME)', home)
    .option('--host <address>', 'address to listen on, instead of server.host')
    .option('--port <number>', 'port to listen on, instead of server.port', parsePort)
    .action((options: QuickstartOptions) => actions.quickstart(options))

  const config = program.command('config').description('Work with the configuration.')
  config
    .command('check')
    .description('Check the configuration and list every problem.')
    .option('--config <file>', 'configuration file (P11KMS_CONFIG)', configFile)
    .option('--json', 'print the result as JSON')
    .action((options: ConfigCheckOptions) => actions.checkConfig(options))
  return program
}

function parsePort(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65_535) return port
  throw new InvalidArgumentError('A port is a number from 0 to 65535.')
}
