import { RepeatedLog } from '../../lib/repeated-log.ts'
import { describeFault, faultFields, hintFields, type TokenFault } from './errors.ts'
import type { LostLanes } from './lost-lanes.ts'
import type { Connected } from './procedures/connect.ts'
import type { Pkcs11Log } from './settings.ts'

/** How often the same trouble is told while it lasts. */
const REPEAT_INTERVAL_MS = 60_000

/** Why a connection is not up. */
export interface Trouble {
  /** One sentence for operators. */
  readonly reason: string
  readonly hint?: string
  readonly ckr?: string
  readonly function?: string
}

export function troubleOf(fault: TokenFault): Trouble {
  return { reason: describeFault(fault), ...hintFields(fault), ...faultFields(fault) }
}

export const OUT_OF_SESSIONS: Trouble = {
  reason:
    'No lane got a session for long: all of this process are closed, in case the token kept some that were.',
  hint: 'If it lasts, use fewer lanes or close other clients of the token.',
}

/** What an operator reads of one token's connection: what happened, what it means, what happens next. */
export class ConnectionLog {
  readonly #token: string
  readonly #log: RepeatedLog

  constructor(token: string, log: Pkcs11Log, now?: () => number) {
    this.#token = token
    this.#log = new RepeatedLog(log, REPEAT_INTERVAL_MS, now)
  }

  started(lanes: object, laneTimeoutMs: number): void {
    this.#tell('info', 'started', { lanes, laneTimeoutMs }, 'token lanes started')
  }

  connected({ token, capabilities }: Connected, after: Trouble | undefined, downMs: number): void {
    const fields = { tokenInfo: token, capabilities, ...(after && { downMs: Math.round(downMs) }) }
    this.#tell('info', `connected after ${after?.reason}`, fields, 'token connected')
  }

  renewed(ms: number): void {
    const reason = 'it keeps memory of every session object until then'
    const fields = { reason, tookMs: Math.round(ms) }
    this.#tell('info', 'renewed', fields, 'library initialized anew; calls waited meanwhile')
  }

  inHostMemory(keys: string, refused: unknown): void {
    this.#tell('warn', 'host memory', { allowHostMemory: true, refused }, `${keys} pass through host memory`)
  }

  lost(trouble: Trouble): void {
    const next = 'calls are answered at once as retryable; it reconnects by itself'
    this.#tell('warn', `lost: ${trouble.reason}`, { ...trouble, next }, 'token connection lost')
  }

  notConnected(trouble: Trouble, mayTryAgain: boolean): void {
    const next = mayTryAgain
      ? 'it is tried again by itself'
      : 'nothing is tried before the PIN source changes'
    const level = mayTryAgain ? 'warn' : 'error'
    this.#tell(level, `not connected: ${trouble.reason}`, { ...trouble, next }, 'token not connected')
  }

  laneLost(reason: string, lost: LostLanes): void {
    const fields = { lanesLost: lost.count, lanesHung: lost.hung, reason }
    this.#tell(
      'error',
      `lane lost: ${reason}`,
      { ...fields, next: 'a new lane takes its place' },
      'lane lost',
    )
  }

  lanesWait(trouble: Trouble, waiting: number, serving: number): void {
    const next = 'the others serve; it is tried again by itself'
    const fields = { lanesWaiting: waiting, lanesServing: serving, ...trouble, next }
    this.#tell('warn', `lanes wait: ${trouble.reason}`, fields, 'lanes wait for a session')
  }

  misused(count: number): void {
    const hint = 'Please report it: the standard forbids such a use of a session.'
    this.#tell('error', 'misused', { sessionMisuses: count, hint }, 'a session was misused')
  }

  #tell(level: keyof Pkcs11Log, trouble: string, fields: object, message: string): void {
    this.#log.tell(level, trouble, { token: this.#token, ...fields }, message)
  }
}
