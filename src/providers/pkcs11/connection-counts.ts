import type { TokenFault } from './errors.ts'
import type { LaneNotes } from './lanes/messages.ts'

/** What happened to one token's connection since the start, for the metrics. */
export class ConnectionCounts {
  connects = 0
  logins = 0
  loginsRefused = 0
  sessionsDiscarded = 0
  sessionMisuses = 0
  readonly #reconnects = new Map<string, number>()

  /** Reconnects by their reason: a return value, or a word of ours. */
  get reconnects(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#reconnects)
  }

  reconnect(reason: string): void {
    this.#reconnects.set(reason, (this.#reconnects.get(reason) ?? 0) + 1)
  }

  connected(loggedIn: boolean): void {
    this.connects += 1
    if (loggedIn) this.logins += 1
  }

  notConnected(fault: TokenFault | undefined): void {
    if (fault?.kind === 'cryptoki' && fault.function === 'C_Login') this.loginsRefused += 1
  }

  note({ sessionsDiscarded, misuses }: LaneNotes): void {
    this.sessionsDiscarded += sessionsDiscarded
    this.sessionMisuses += misuses
  }
}
