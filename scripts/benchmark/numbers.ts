/** The middle one; 0 of none. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

/** The number that `share` of them (0 to 1) do not exceed; 0 of none. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** What a scenario found: figures by name, and which of its requirements they do not meet. */
export interface Findings {
  readonly title: string
  /** A line each for people: `name  text`. */
  readonly lines: readonly (readonly [name: string, text: string])[]
  /** The same for machines. */
  readonly figures: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}
