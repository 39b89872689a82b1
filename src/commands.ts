import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { bannerOf, devBannerOf } from './cli/banner.ts'
import type { DoctorActions } from './cli/commands/doctor.ts'
import type { TokenActions } from './cli/commands/token.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { printLine, printNote } from './cli/output.ts'
import {
  type ConfigCheckOptions,
  type DevOptions,
  type QuickstartOptions,
  runProgram,
  type ServeOptions,
} from './cli/program.ts'
import { ConfigError } from './config/config-error.ts'
import { loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { CONFIG_CHECKS } from './config-checks.ts'
import { reportFailure } from './failure.ts'
import { openLog } from './process-log.ts'
import { nextSignal, runUntilStopped } from './run.ts'

const STDOUT_FD = 1
const STDERR_FD = 2

async function serve(options: ServeOptions): Promise<number> {
  const signalled = nextSignal()
  const loaded = loadConfig(options.config, process.env, CONFIG_CHECKS)
  const { host = loaded.server.host, port = loaded.server.port, workers = loaded.server.workers } = options
  const config: Config = { ...loaded, server: { ...loaded.server, host, port, workers } }
  const log = openLog(config.log.level, STDOUT_FD)
  try {
    // What a process does not run it does not load: a supervisor is small.
    if (workers > 0) {
      const { superviseWorkers } = await import('./supervise.ts')
      return await superviseWorkers(config, signalled, log)
    }
    const { startApp } = await import('./app.ts')
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
    const { startQuickstart } = await import('./quickstart.ts')
    const { app, home, keyId, drainTimeoutMs } = await startQuickstart(settings, log.logger)
    printLine(bannerOf({ endpoint: app.endpoint, envFile: home.envFile, keyId, node: process.execPath }))
    return await runUntilStopped(app, signalled, log, drainTimeoutMs)
  } finally {
    log.flush()
  }
}

async function dev({ host, port, seed }: DevOptions): Promise<number> {
  const signalled = nextSignal()
  const log = openLog('info', STDERR_FD)
  const { openDevFolder, devEnvironment } = await import('./dev.ts')
  const folder = await openDevFolder(log.logger)
  try {
    const environment = devEnvironment(process.env, seed)
    const settings = { folder: folder.path, environment, checks: CONFIG_CHECKS, host, port }
    const { startQuickstart } = await import('./quickstart.ts')
    const { app, home, keyId, drainTimeoutMs } = await startQuickstart(settings, log.logger)
    // Only what a shell sources goes to standard output.
    printLine(readFileSync(home.envFile, 'utf8').trimEnd())
    printNote(devBannerOf({ endpoint: app.endpoint, envFile: home.envFile, keyId, node: process.execPath }))
    return await runUntilStopped(app, signalled, log, drainTimeoutMs)
  } finally {
    log.flush()
    await folder.remove()
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

/** What a supervisor and its workers do not run they do not load. */
const inspection: TokenActions & DoctorActions = {
  doctor: async (options) => (await import('./doctor.ts')).doctor(options),
  listTokens: async (options) => (await import('./token-commands.ts')).listTokens(options),
  showToken: async (name, options) => (await import('./token-commands.ts')).showToken(name, options),
  listObjects: async (name, options) => (await import('./object-commands.ts')).listObjects(name, options),
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

/** Runs the command line of this process. The result is the exit code; what goes wrong has been told. */
export async function runCommandLine(): Promise<number> {
  try {
    return await runProgram(
      { serve, quickstart, dev, checkConfig, ...inspection },
      process.argv,
      version(),
      process.env,
    )
  } catch (error) {
    return reportFailure(error)
  }
}
