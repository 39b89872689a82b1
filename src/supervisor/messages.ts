import type { AddressInfo } from 'node:net'

/** What the supervisor knows of the whole, for `/readyz` and `/metrics`. */
export interface WorkersView {
  readonly configured: number
  readonly serving: number
  /** Processes that were started in place of one that ended, since the start. */
  readonly restarts: number
  /** What is wrong with those that do not serve: one sentence for operators. */
  readonly trouble?: string
}

/** What a worker process is told first. */
export interface StartOrder<Settings> {
  readonly kind: 'start'
  /** 1 to the number of workers; a process that replaces another has its number. */
  readonly worker: number
  readonly settings: Settings
  /** Where the supervisor listens. */
  readonly address: AddressInfo
  /** Since when the supervisor holds the lock of the store. Milliseconds since the epoch. */
  readonly lockedAt: number
  /** The same for all workers of a service, and of this service alone. */
  readonly digestKey: Uint8Array
  readonly view: WorkersView
}

/** From the supervisor to a worker. A `connection` comes with its socket. */
export type ToWorker<Settings = unknown> =
  | StartOrder<Settings>
  | { readonly kind: 'connection' }
  /** From now on this worker alone does what only one may do. */
  | { readonly kind: 'tend' }
  | { readonly kind: 'view'; readonly view: WorkersView }
  /** Another worker asks all others; to be answered with `reply`. */
  | { readonly kind: 'ask'; readonly id: number; readonly question: unknown }
  /** The answers to a question of this worker's, of those that gave one. */
  | { readonly kind: 'answers'; readonly id: number; readonly answers: readonly unknown[] }
  /** The answer to `login`. */
  | { readonly kind: 'mayLogin'; readonly token: string; readonly yes: boolean }
  /** The answer to `takeNonces`: for each claim whether its nonce was not taken before. */
  | { readonly kind: 'nonces'; readonly id: number; readonly fresh: readonly boolean[] }
  /** Finish what is in flight, then end. */
  | { readonly kind: 'stop' }

/** From a worker to the supervisor. */
export type FromWorker =
  /** It lives: sent at each {@link BEAT_INTERVAL_MS}. */
  | { readonly kind: 'beat' }
  /** It takes connections. */
  | { readonly kind: 'ready' }
  /** It cannot go on and is about to end: it takes no more connections. */
  | { readonly kind: 'leaving' }
  /** The connection that was sent last is its own from here on. */
  | { readonly kind: 'taken' }
  /** Asks the other workers; after `timeoutMs` the answers that came are enough. */
  | {
      readonly kind: 'askOthers'
      readonly id: number
      readonly question: unknown
      readonly timeoutMs?: number
    }
  | { readonly kind: 'reply'; readonly id: number; readonly answer: unknown }
  /** It wants to give a token the PIN that `digest` stands for (keyed by {@link StartOrder.digestKey}). */
  | { readonly kind: 'login'; readonly token: string; readonly digest: string }
  /** What it said it wanted to do is done. */
  | { readonly kind: 'loginEnded'; readonly token: string; readonly ended: LoginEnd }
  /** It wants to take nonces that no worker has taken. */
  | { readonly kind: 'takeNonces'; readonly id: number; readonly claims: readonly NonceClaim[] }

/** A nonce of an authenticated request, to be taken once by all workers until `validUntil` (milliseconds since the epoch). */
export interface NonceClaim {
  readonly accessKeyId: string
  readonly nonce: string
  readonly validUntil: number
}

/** How a login ended: well, so that it says nothing of the PIN, or so that the PIN is not to be given again. */
export type LoginEnd = 'up' | 'again' | 'operator'

export const BEAT_INTERVAL_MS = 1_000
