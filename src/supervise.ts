import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { type HandedConfig, handSecrets } from './config/handed-secrets.ts'
import type { Config } from './config/schema.ts'
import { SYSTEM_CLOCK } from './lib/clock.ts'
import type { OpenLog } from './process-log.ts'
import { CLOSE_ALLOWANCE_MS } from './run.ts'
import { acquireInstanceLock } from './store/instance-lock.ts'
import type { FileWatch } from './store/watched-file.ts'
import { Supervisor } from './supervisor/supervisor.ts'
import { FIRST_SECRET_FD } from './supervisor/worker-process.ts'

/** What another start would only repeat: the operator is needed first. */
const FINAL_EXIT_CODES = [EXIT_CODES.usage, EXIT_CODES.config]
/** A worker kills itself when closing takes too long; only one that cannot is killed from here. */
const KILL_ALLOWANCE_MS = 2_000
/** A worker says that it lives every second; its main thread waits for no token and no network. */
const SILENCE_MS_MAX = 30_000
/** The first one migrates the store before it serves, and its thread stands still meanwhile. */
const START_SILENCE_MS_MAX = 600_000

/**
 * Serves with worker processes until a signal comes or no worker is left that another start would help. This process holds
 * the lock of the store and the listening socket; it loads no PKCS#11 library.
 *
 * @returns The exit code.
 */
export async function superviseWorkers(
  config: Config,
  signalled: Promise<NodeJS.Signals>,
  log: OpenLog,
): Promise<number> {
  const lock = await acquireInstanceLock(config.store.path)
  const lockedAt = SYSTEM_CLOCK.now()
  const secrets: Buffer[] = []
  try {
    const handed = handSecrets(config, FIRST_SECRET_FD)
    secrets.push(...handed.secrets)
    return await runUntilEnded(makeSupervisor(handed, lockedAt, lock, log), signalled, log)
  } finally {
    for (const secret of secrets) secret.fill(0)
    await lock.release()
  }
}

async function runUntilEnded(
  supervisor: Supervisor,
  signalled: Promise<NodeJS.Signals>,
  { logger, flush }: OpenLog,
): Promise<number> {
  const ended = Promise.race([signalled, supervisor.failed])
  await Promise.race([ended, startAll(supervisor, logger)])
  const reason = await ended
  if (typeof reason === 'string') logger.info({ signal: reason }, 'stopping; requests in flight are finished')
  else if (typeof reason === 'number')
    logger.fatal({ exit: reason }, 'no worker is left that another start would help')
  else logger.fatal({ err: reason }, 'giving up; start the process anew')
  flush()
  await supervisor.stop()
  logger.info('stopped')
  if (reason instanceof Error) return EXIT_CODES.software
  return typeof reason === 'string' ? EXIT_CODES.ok : reason
}

async function startAll(supervisor: Supervisor, logger: Logger): Promise<void> {
  const address = await supervisor.start()
  const { configured, serving } = supervisor.view
  if (serving === configured) logger.info({ endpoint: endpointOf(address), workers: serving }, 'serving')
}

function makeSupervisor(
  { config, secrets }: HandedConfig,
  lockedAt: number,
  lock: FileWatch,
  log: OpenLog,
): Supervisor {
  const { host, port, workers, connectionsMax, drainTimeoutMs } = config.server
  const file = import.meta.url.endsWith('.ts') ? './gateway-worker.ts' : './gateway-worker.js'
  const settings = {
    workers,
    host,
    port,
    connectionsMax,
    settings: config,
    secrets,
    entry: new URL(file, import.meta.url),
    lockedAt,
    requireLock: () => lock.requireInPlace(),
    finalExitCodes: FINAL_EXIT_CODES,
    silenceMsMax: SILENCE_MS_MAX,
    startSilenceMsMax: START_SILENCE_MS_MAX,
    endTimeoutMs: drainTimeoutMs + CLOSE_ALLOWANCE_MS + KILL_ALLOWANCE_MS,
  }
  return new Supervisor(settings, { log: log.logger, onLog: log.relay })
}

function endpointOf({ address, port, family }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
