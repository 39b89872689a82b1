/** Milliseconds since `startedAt` of `performance.now()`. */
export function since(startedAt: number): number {
  return rounded(performance.now() - startedAt)
}

/** To microseconds. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** How long one of several runs of the same work took. Milliseconds. */
export interface Times {
  readonly median: number
  /** What the work itself takes, when the host is busy with other things meanwhile. */
  readonly fastest: number
}

export function timesOf(tries: number, work: () => unknown): Times {
  const times = Array.from({ length: tries }, () => {
    const startedAt = performance.now()
    work()
    return performance.now() - startedAt
  }).toSorted((a, b) => a - b)
  return { median: rounded(times[Math.floor(tries / 2)] ?? 0), fastest: rounded(times[0] ?? 0) }
}
