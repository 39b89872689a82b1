#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type DestinationStream, type Logger, pino } from 'pino'
import { type App, startApp } from './app.ts'
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
import { type ConfigCheck, loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { errnoOf } from './lib/errno.ts'
import { parseTokenSelector } from './providers/pkcs11/token-selector.ts'
import { startQuickstart } from './quickstart.ts'
import { inspectStoreFile } from './store/sqlite-file.ts'
import { StoreOpenError } from './store/store-open-error.ts'

const STDOUT_FD = 1
const STDERR_FD = 2
/** Lines are written together: at most this much, or of the last 250 ms, is lost when the process is killed. */
const LOG_BUFFER_BYTES = 16_384
const LOG_FLUSH_MS = 250

const checkStore: ConfigCheck = (config) =>
  inspectStoreFile(config.store.path).map(({ problem, hint }) => ({
    path: 'store.path',
    message: `${problem} ${hint}`,
  }))

const checkTokens: ConfigCheck = (config) =>
  config.tokens.flatMap(({ label, serial, uri }, i) => {
    try {
      parseTokenSelector({ ...(label && { label }), ...(serial && { serial }), ...(uri && { uri }) })
      return []
    } catch (error) {
      return [{ path: `tokens.${i}`, message: error instanceof Error ? error.message : String(error) }]
    }
  })

const CHECKS = [checkStore, checkTokens]

async function serve(options: ServeOptions): Promise<number> {
  const signalled = nextSignal()
  const loaded = loadConfig(options.config, process.env, CHECKS)
  const { host = loaded.server.host, port = loaded.server.port } = options
  const config: Config = { ...loaded, server: { ...loaded.server, host, port } }
  const { logger, flush } = openLog(config.log.level, STDOUT_FD)
  try {
    return await runUntilStopped(await startApp(config, logger), signalled, logger)
  } finally {
    flush()
  }
}

async function quickstart(options: QuickstartOptions): Promise<number> {
  const signalled = nextSignal()
  const { logger, flush } = openLog(process.env['P11KMS_LOG_LEVEL'] ?? 'info', STDERR_FD)
  try {
    const { host, port } = options
    const settings = { folder: resolve(options.home), environment: process.env, checks: CHECKS, host, port }
    const { app, home, keyId } = await startQuickstart(settings, logger)
    printLine(bannerOf({ endpoint: app.endpoint, envFile: home.envFile, keyId, node: process.execPath }))
    return await runUntilStopped(app, signalled, logger)
  } finally {
    flush()
  }
}

async function checkConfig(options: ConfigCheckOptions): Promise<number> {
  try {
    const config = loadConfig(options.config, process.env, CHECKS)
    const summary = { accounts: config.accounts.length, tokens: config.tokens.map(({ name }) => name) }
    printLine(options.json ? JSON.stringify({ ok: true, ...summary }) : `${options.config}: no problems`)
    return EXIT_CODES.ok
  } catch (error) {
    if (!options.json || !(error instanceof ConfigError)) throw error
    printLine(JSON.stringify({ ok: false, problems: error.problems }))
    return EXIT_CODES.config
  }
}

/** The first SIGINT or SIGTERM from now on, one during the start included; a second ends the process at once. */
function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve: signal } = Promise.withResolvers<NodeJS.Signals>()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      signal(name)
      process.once(name, () => process.exit(EXIT_CODES.software))
    })
  }
  return promise
}

/** Serves until a signal comes or the gateway gives up. */
async function runUntilStopped(
  app: App,
  signalled: Promise<NodeJS.Signals>,
  logger: Logger,
): Promise<number> {
  const reason = await Promise.race([signalled, app.failed])
  if (reason instanceof Error) logger.fatal({ err: reason }, 'giving up; start the process anew')
  else logger.info({ signal: reason }, 'stopping; requests in flight are finished')
  await app.close()
  logger.info('stopped')
  return reason instanceof Error ? EXIT_CODES.software : EXIT_CODES.ok
}

function openLog(level: string, fd: number): { readonly logger: Logger; readonly flush: () => void } {
  const destination = pino.destination({ dest: fd, minLength: LOG_BUFFER_BYTES, sync: true })
  const timer = setInterval(() => destination.flushSync(), LOG_FLUSH_MS)
  timer.unref()
  const options = { level, base: {}, timestamp: pino.stdTimeFunctions.isoTime }
  return { logger: pino(options, destination as DestinationStream), flush: () => destination.flushSync() }
}

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
  if (['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES'].includes(errnoOf(error)) && error instanceof Error) {
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

const actions = { serve, quickstart, checkConfig }
try {
  process.exitCode = await runProgram(actions, process.argv, version(), process.env)
} catch (error) {
  process.exitCode = reportFailure(error)
}
