/** Where the time comes from, so that a test can move it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Milliseconds since some moment of this process; never set back or forward. */
  monotonic(): number
}

export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

export const DAY_MS = 86_400_000
