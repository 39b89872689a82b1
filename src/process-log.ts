import { pino } from 'pino'
import { LogSink } from './log-sink.ts'
import { endOnUncaught, type ProcessLog } from './run.ts'

/** A log whose lines go to a descriptor. */
export interface OpenLog extends ProcessLog {
  /** Writes lines of another process, the last newline included. */
  readonly relay: (lines: string) => void
}

/**
 * Opens the log of this process.
 *
 * @param base - What every line carries.
 */
export function openLog(level: string, fd: number, base: object = {}): OpenLog {
  const sink = new LogSink(fd)
  const log = {
    logger: pino({ level, base: { ...base }, timestamp: pino.stdTimeFunctions.isoTime }, sink),
    flush: () => sink.flush(),
    relay: (lines: string) => sink.write(lines),
  }
  endOnUncaught(log)
  return log
}
