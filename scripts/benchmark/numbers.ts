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

/** Ends of the straight line that fits values at equal steps best (least squares). Two values or more. */
export function lineThrough(values: readonly number[]): readonly [first: number, last: number] {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const spread = values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0)
  const slope = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0) / spread
  return [mean - slope * middle, mean + slope * middle]
}
