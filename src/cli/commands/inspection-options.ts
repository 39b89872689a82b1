import { type Command, InvalidArgumentError } from 'commander'

/** Options of every command that looks into tokens. */
export interface InspectionOptions {
  readonly config: string
  readonly json?: boolean
  /** How long one call into the library may take. Seconds. */
  readonly timeout: number
}

const TIMEOUT_S = 15
const TIMEOUT_S_MIN = 2
const TIMEOUT_S_MAX = 3600

export function addInspectionOptions(command: Command, configFile: string): Command {
  return command
    .option('--config <file>', 'configuration file (P11KMS_CONFIG)', configFile)
    .option('--timeout <seconds>', 'how long one call into the library may take', parseTimeout, TIMEOUT_S)
    .option('--json', 'print the result as JSON')
}

function parseTimeout(text: string): number {
  const seconds = /^[0-9]{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= TIMEOUT_S_MIN && seconds <= TIMEOUT_S_MAX) return seconds
  throw new InvalidArgumentError(
    `A time limit is a number of seconds from ${TIMEOUT_S_MIN} to ${TIMEOUT_S_MAX}.`,
  )
}
