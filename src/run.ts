import type { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import type { App } from './app.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { SYSTEM_CLOCK } from './lib/clock.ts'

/** What closing may take beyond the time that requests in flight have. Milliseconds. */
export const CLOSE_ALLOWANCE_MS = 10_000

/** The log of a serving process, and how to write out what it holds back. */
export interface ProcessLog {
  readonly logger: Logger
  readonly flush: () => void
}

/** The first SIGINT or SIGTERM from now on, one during the start included; a second ends the process at once. */
export function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve: signal } = Promise.withResolvers<NodeJS.Signals>()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      signal(name)
      process.once(name, killSelf)
    })
  }
  return promise
}

/** Threads that were started since {@link endOnUncaught} and have not ended. */
const threads = new Set<Worker>()

/** Logs what nobody caught, and ends: nothing is known of the state that it leaves. */
export function endOnUncaught({ logger, flush }: ProcessLog): void {
  process.on('worker', (thread) => {
    threads.add(thread)
    thread.once('exit', () => threads.delete(thread))
  })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'internal error; ending')
    flush()
    process.exitCode = EXIT_CODES.software
    endAtOnce()
  })
}

/** Ends this process with its exit code, or by SIGKILL where threads are left: an exit would wait for one that hangs. */
export function endAtOnce(): void {
  if (threads.size > 0) killSelf()
  else process.exit()
}

/**
 * Serves until a signal comes or the gateway gives up, then closes it.
 *
 * @returns The exit code. Does not return where a thread hangs inside the token's library: no such process can exit, so it
 *   kills itself.
 */
export async function runUntilStopped(
  app: Pick<App, 'failed' | 'hangs' | 'close'>,
  signalled: Promise<NodeJS.Signals>,
  log: ProcessLog,
  drainTimeoutMs: number,
): Promise<number> {
  const { logger, flush } = log
  const reason = await Promise.race([signalled, app.failed])
  if (reason instanceof Error) logger.fatal({ err: reason }, 'giving up; start the process anew')
  else logger.info({ signal: reason }, 'stopping; requests in flight are finished')
  flush()
  const startedAt = SYSTEM_CLOCK.monotonic()
  const timer = setTimeout(() => {
    logger.fatal({ afterMs: SYSTEM_CLOCK.monotonic() - startedAt }, 'closing takes too long; ending at once')
    flush()
    killSelf()
  }, drainTimeoutMs + CLOSE_ALLOWANCE_MS)
  try {
    await app.close()
    logger.info('stopped')
  } catch (error) {
    logger.error({ err: error }, 'closing failed')
    throw error
  } finally {
    clearTimeout(timer)
    if (app.hangs()) {
      logger.warn('a thread hangs inside the PKCS#11 library, so this process kills itself')
      flush()
      killSelf()
    }
  }
  return reason instanceof Error ? EXIT_CODES.software : EXIT_CODES.ok
}

/** Ends this process at once, also where a thread hangs inside a library. */
export function killSelf(): void {
  process.kill(process.pid, 'SIGKILL')
}
