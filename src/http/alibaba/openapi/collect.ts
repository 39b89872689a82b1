import type { Page, PageInput } from '../../../core/ops/list-keys.ts'

/** The most that the core lists at a time. */
const CORE_PAGE_ROWS = 999
/** Pages that are read for one answer: about 100,000 rows, ten times what an account of the real service may have. */
const CORE_PAGES_MAX = 100

/**
 * Every row of a listing, in its order: this API counts them all in each answer and takes pages by number. What lies beyond the
 * bound is neither listed nor counted.
 */
export async function collectAll<Row>(list: (input: PageInput) => Promise<Page<Row>>): Promise<Row[]> {
  const rows: Row[] = []
  let after: string | undefined
  for (let pages = 0; pages < CORE_PAGES_MAX; pages++) {
    const { rows: more, next } = await list({ after, limit: CORE_PAGE_ROWS })
    rows.push(...more)
    if (next === undefined) break
    after = next
  }
  return rows
}
