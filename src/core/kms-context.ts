import type { Clock } from '../lib/clock.ts'
import type { CountedProvider } from './counted-provider.ts'
import type { InFlightLimit } from './in-flight-limit.ts'
import type { Principal } from './key.ts'
import type { KeyDirectory } from './key-directory.ts'
import type { LastUses, UsingCall } from './last-uses.ts'
import type { PairGate } from './pair-gate.ts'
import type { ProviderTimings } from './ports/crypto-provider.ts'
import type { ImportStore } from './ports/import-store.ts'
import type { KeyStore } from './ports/key-store.ts'
import type { PublicKeyProofs } from './public-key-proofs.ts'

/** What one call of an operation carries along. */
export interface CallContext {
  readonly principal: Principal
  /** When the caller stops waiting. Milliseconds since the epoch. */
  readonly deadlineAt: number
  /** Filled in on the way, for the request's log line. */
  readonly trail: CallTrail
  /** The caller asks only whether the call would succeed: `endDryRun` ends it where everything has been checked. */
  readonly dryRun?: true
  /** Grant tokens that the caller shows, at most {@link GRANT_TOKENS_MAX}; `requireKey` refuses what is none. */
  readonly grantTokens?: readonly string[]
  /** Names the request in the log and to the caller. UUID. */
  readonly requestId?: string
}

/** What operations that use a key for cryptography are called with; `LastUses` makes one. */
export type UsingContext = UsingCall<CallContext>

export const GRANT_TOKENS_MAX = 10

export interface CallTrail {
  /** The key that the operation resolved to. */
  keyId?: string
  /** Name of the token that holds it. */
  token?: string
  readonly timings: ProviderTimings
  /** Set when a key that ought to stay in the token was made in host memory, as the operator allows. */
  hostMemory?: true
}

/** A trail with nothing on it yet. */
export function newTrail(): CallTrail {
  return { timings: { queueMs: 0, tokenMs: 0 } }
}

/** What the operations stand on. */
export interface KmsDeps {
  readonly store: KeyStore
  readonly imports: ImportStore
  readonly provider: CountedProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
  /** A fresh random UUID, lower case. */
  readonly newId: () => string
  /** Names of the regions that keys can be in. */
  readonly regions: readonly string[]
  /** How many keys may be in the making at a time. */
  readonly creations: InFlightLimit
  /** Has key pairs made one at a time. */
  readonly pairs: PairGate
  /** How long after the last version of a key pair another one may be made. Milliseconds. */
  readonly keyVersionIntervalMs: number
  /** To be asked before a public key of the store is used or given out. */
  readonly publicKeys: PublicKeyProofs
  /** Remembers what keys were last used for. */
  readonly lastUses: LastUses
  /** Name of the token that new keys are made in. */
  readonly tokenForNewKeys: string
}
