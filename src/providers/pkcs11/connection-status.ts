import type { ConnectionCounts } from './connection-counts.ts'
import type { Trouble } from './connection-log.ts'
import type { LaneFleet } from './lane-fleet.ts'
import type { Connected } from './procedures/connect.ts'
import type { Pkcs11Status } from './settings.ts'

/** What a connection knows of itself. */
export interface ConnectionView {
  /** Whether calls are handed to a lane, at once or soon. */
  readonly available: boolean
  /** Nothing is tried before an operator acts, or at all. */
  readonly resting: boolean
  readonly attempting: boolean
  readonly trouble: Trouble | undefined
  readonly connected: Connected | undefined
  readonly allowHostMemory: boolean
  readonly counts: ConnectionCounts
  readonly lanes: LaneFleet
}

/** The same for operators and metrics. */
export function statusOf(view: ConnectionView): Pkcs11Status {
  const { available, counts, lanes, connected } = view
  const { connects: generation, logins, loginsRefused, reconnects } = counts
  const { sessionsDiscarded, sessionMisuses } = counts
  const { reason, hint } = (!available && view.trouble) || {}
  return {
    state: available ? 'up' : view.resting ? 'down' : 'connecting',
    breaker: available ? 'closed' : view.attempting ? 'half-open' : 'open',
    ...(reason === undefined ? {} : { reason }),
    ...(hint === undefined ? {} : { hint }),
    ...(connected && tokenOf(connected, view.allowHostMemory)),
    generation,
    queueDepth: lanes.depth,
    lanesServing: lanes.crypto.readyLanes,
    lanesLost: lanes.lost.count,
    lanesHung: lanes.lost.hung,
    logins,
    loginsRefused,
    reconnects,
    sessionsDiscarded,
    sessionMisuses,
  }
}

function tokenOf({ token, capabilities }: Connected, allowHostMemory: boolean): Partial<Pkcs11Status> {
  const mode = capabilities.insideSealMode ?? (allowHostMemory ? 'hostMemory' : undefined)
  return { tokenInfo: token, capabilities, ...(mode ? { insideSealMode: mode } : {}) }
}
