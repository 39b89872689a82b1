/** What a worker process of `p11kms serve` runs: one gateway, under the supervisor that started it (src/supervise.ts). */
import { startApp } from './app.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import type { Config } from './config/schema.ts'
import { reportFailure } from './failure.ts'
import { type OpenLog, openLog } from './process-log.ts'
import { endAtOnce, killSelf, runUntilStopped } from './run.ts'
import { SupervisorLink } from './supervisor/link.ts'
import { WorkerSeat } from './worker-seat.ts'

const STDOUT_FD = 1
let log: OpenLog | undefined

// Ctrl-C and service managers signal the whole group. It is the supervisor who says when this process has finished.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

/** Nothing may serve without the lock, and the supervisor that held it is gone. */
function endWithoutSupervisor(): void {
  log?.logger.fatal('the supervisor is gone; ending at once')
  log?.flush()
  killSelf()
}

async function serve(link: SupervisorLink<Config>): Promise<number> {
  const { settings: config, worker } = link.order
  log = openLog(config.log.level, STDOUT_FD, { worker })
  try {
    const app = await startApp(config, log.logger, new WorkerSeat(link, config.store.path))
    void app.failed.then(() => link.leaving())
    const stopped = link.stopped.then(() => 'SIGTERM' as const)
    return await runUntilStopped(app, stopped, log, config.server.drainTimeoutMs)
  } finally {
    log.flush()
  }
}

try {
  const link = await SupervisorLink.join<Config>(endWithoutSupervisor)
  process.exitCode = await serve(link)
  link.close()
} catch (error) {
  process.exitCode = reportFailure(error)
  // Whatever else is open must not keep a process that failed from ending.
  endAtOnce()
}
if (process.exitCode !== EXIT_CODES.ok) process.exit()
