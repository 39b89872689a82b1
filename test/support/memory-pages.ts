/** What a row is ordered by. */
export type Path = readonly string[]

/** A page: the rows strictly after `after`, by the UTF-8 bytes of their paths. */
export function cut<Row>(
  rows: readonly Row[],
  pathOf: (row: Row) => Path,
  after: Path | undefined,
  limit: number,
): Row[] {
  return rows
    .filter((row) => after === undefined || compare(pathOf(row), after) > 0)
    .toSorted((a, b) => compare(pathOf(a), pathOf(b)))
    .slice(0, limit)
    .map((row) => structuredClone(row))
}

export function compare(a: Path, b: Path): number {
  for (const [index, text] of a.entries()) {
    const order = Buffer.compare(Buffer.from(text), Buffer.from(b[index] ?? ''))
    if (order !== 0) return order
  }
  return 0
}
