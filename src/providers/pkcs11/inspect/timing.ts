/** Milliseconds since `startedAt` of `performance.now()`. */
export function since(startedAt: number): number {
  return rounded(performance.now() - startedAt)
}

/** To microseconds. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** The median of how long `work` takes, over `tries` times. Milliseconds. */
export function medianMs(tries: number, work: () => unknown): number {
  const times = Array.from({ length: tries }, () => {
    const startedAt = performance.now()
    work()
    return performance.now() - startedAt
  }).toSorted((a, b) => a - b)
  return rounded(times[Math.floor(tries / 2)] ?? 0)
}
