import { expect, it } from 'vitest'
import type { PageInput } from '../../../src/core/ops/list-keys.ts'
import { collectAll } from '../../../src/http/alibaba/openapi/collect.ts'

/** A listing of so many numbers. */
const listing = (count: number, asked: PageInput[]) => async (input: PageInput) => {
  asked.push(input)
  const start = Number(input.after ?? 0)
  const end = Math.min(count, start + input.limit)
  const rows = Array.from({ length: end - start }, (_, n) => start + n)
  return { rows, ...(end < count && { next: `${end}` }) }
}

it('a listing is read page by page to its end', async () => {
  const asked: PageInput[] = []
  const all = await collectAll(listing(2_500, asked))
  expect(all).toEqual(Array.from({ length: 2_500 }, (_, n) => n))
  expect(asked.map(({ after }) => after)).toEqual([undefined, '999', '1998'])
})

it('a listing is read to a bound, and no further', async () => {
  const asked: PageInput[] = []
  expect(await collectAll(listing(1_000_000, asked))).toHaveLength(99_900)
  expect(asked).toHaveLength(100)
})
