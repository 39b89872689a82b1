import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pino } from 'pino'
import { startApp } from './app.ts'
import { bannerOf } from './cli/banner.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { printError, printLine } from './cli/output.ts'
import {
  type ConfigCheckOptions,
  type QuickstartOptions,
  runProgram,
  type ServeOptions,
} from './cli/program.ts'
import { ConfigError } from './config/config-error.ts'
import { loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { CONFIG_CHECKS } from './config-checks.ts'
import { errnoOf } from './lib/errno.ts'
import { LogSink } from './log-sink.ts'
import { InspectionError } from './providers/pkcs11/inspect/inspection-error.ts'
import { startQuickstart } from './quickstart.ts'
import { endOnUncaught, nextSignal, type ProcessLog, runUntilStopped } from './run.ts'
import { StoreOpenError } from './store/store-open-error.ts'
import { TOKEN_ACTIONS } from './token-commands.ts'

const STDOUT_FD = 1
const STDERR_FD = 2

async function serve(options: ServeOptions): Promise<number> {
  const signalled = nextSignal()
  const loaded = loadConfig(options.config, process.env, CONFIG_CHECKS)
  const { host = loaded.server.host, port = loaded.server.port } = options
  const config: Config = { ...loaded, server: { ...loaded.server, host, port } }
  const log = openLog(config.log.level, STDOUT_FD)
  try {
    const app = await startApp(config, log.logger)
    return await runUntilStopped(app, signalled, log, config.server.drainTimeoutMs)
  } finally {
    log.flush()
  }
}

async function quickstart(options: QuickstartOptions): Promise<number> {
  const signalled = nextSignal()
  const log = openLog('info', STDERR_FD)
  try {
    const { host, port } = options
    const settings = {
      folder: resolve(options.home),
      environment: process.env,
      checks: CONFIG_CHECKS,
      host,
      port,
    }
    const { app, home, keyId, drainTimeoutMs } = await startQuickstart(settings, log.logger)
    printLine(bannerOf({ endpoint: app.endpoint, envFile: home.envFile, keyId, node: process.execPath }))
    return await runUntilStopped(app, signalled, log, drainTimeoutMs)
  } finally {
    log.flush()
  }
}

async function checkConfig(options: ConfigCheckOptions): Promise<number> {
  try {
    const config = loadConfig(options.config, process.env, CONFIG_CHECKS)
    const summary = { accounts: config.accounts.length, tokens: config.tokens.map(({ name }) => name) }
    printLine(options.json ? JSON.stringify({ ok: true, ...summary }) : `${options.config}: no problems`)
    return EXIT_CODES.ok
  } catch (error) {
    if (!options.json || !(error instanceof ConfigError)) throw error
    printLine(JSON.stringify({ ok: false, problems: error.problems }))
    return EXIT_CODES.config
  }
}

function openLog(level: string, fd: number): ProcessLog {
  const sink = new LogSink(fd)
  const log = {
    logger: pino({ level, base: {}, timestamp: pino.stdTimeFunctions.isoTime }, sink),
    flush: () => sink.flush(),
  }
  endOnUncaught(log)
  return log
}

/** What listening fails with for a reason that the operator can mend. */
const ADDRESS_FAULTS = ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN']

/** Says what went wrong to the operator; the result is the exit code. */
function reportFailure(error: unknown): number {
  if (error instanceof ConfigError) {
    printError(error.message)
    return EXIT_CODES.config
  }
  if (error instanceof StoreOpenError) {
    const inUse = error.problems.some(({ code }) => code === 'STORE_IN_USE')
    printError(error.message)
    return inUse ? EXIT_CODES.unavailable : EXIT_CODES.config
  }
  if (error instanceof InspectionError) {
    printError([error.problem.reason, error.problem.next].filter(Boolean).join(' '))
    return EXIT_CODES.unavailable
  }
  if (ADDRESS_FAULTS.includes(errnoOf(error)) && error instanceof Error) {
    printError(`${error.message}; choose another address with --host and --port, or stop what uses it.`)
    return EXIT_CODES.unavailable
  }
  printError(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return EXIT_CODES.software
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

/** Runs the command line of this process. The result is the exit code; what goes wrong has been told. */
export async function runCommandLine(): Promise<number> {
  try {
    return await runProgram(
      { serve, quickstart, checkConfig, ...TOKEN_ACTIONS },
      process.argv,
      version(),
      process.env,
    )
  } catch (error) {
    return reportFailure(error)
  }
}
