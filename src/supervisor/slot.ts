import type { WorkersView } from './messages.ts'
import { RestartPolicy } from './restart-policy.ts'
import type { End, WorkerProcess } from './worker-process.ts'

/** One of the N places that a worker process fills. */
export interface Slot {
  readonly number: number
  readonly policy: RestartPolicy
  /** The process that serves or is about to. */
  process: WorkerProcess | undefined
  restart: NodeJS.Timeout | undefined
  /** How its last process ended, while there is none. */
  lastEnd: End | undefined
  /** Its last process ended with a final exit code. */
  givenUp: boolean
}

/** The place of worker `number`, with nobody in it yet. */
export function emptySlot(number: number): Slot {
  return {
    number,
    policy: new RestartPolicy(),
    process: undefined,
    restart: undefined,
    lastEnd: undefined,
    givenUp: false,
  }
}

/** What is wrong with a slot that nobody fills: a sentence for operators, or none. */
export function troubleOf(slot: Slot): string[] {
  const { number, process, policy, lastEnd, givenUp } = slot
  if (process?.readyAt !== undefined || lastEnd === undefined) return []
  const how = typeof lastEnd === 'number' ? `with exit code ${lastEnd}` : `by ${lastEnd}`
  if (givenUp) return [`Worker ${number} ended ${how} and is not started anew.`]
  return policy.loops
    ? [`Worker ${number} ends again and again, last ${how}.`]
    : [`Worker ${number} ended ${how} and is being started anew.`]
}

/** What is told to those who found no worker; in the shape of `/readyz`. */
export function explanation({ configured, serving, trouble }: WorkersView): object {
  const reason = trouble ?? `${serving} of ${configured} workers serve.`
  return {
    message: 'No process of the service can answer right now; try again.',
    ready: false,
    degraded: true,
    components: { workers: { ok: false, reason, hint: 'See the log.' } },
  }
}
