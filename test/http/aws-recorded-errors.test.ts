import { readFileSync } from 'node:fs'
import { beforeAll, expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'
import { STATE_CASES } from './recorded-faults.ts'
import { REQUEST_CASES } from './recorded-refusals.ts'

/** Faults of AWS KMS as they were recorded: code, text with `<…>` for values of the request, status. */
const RECORDED = readFileSync(new URL('../vectors/aws/recorded-errors.tsv', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [code = '', message = '', status = ''] = line.split('\t')
    return { code, message, status: Number(status) }
  })

const CASES = [...STATE_CASES, ...REQUEST_CASES]

const ROWS = RECORDED.map((recorded) => {
  const found = CASES.filter(
    ([code, message]) =>
      code === recorded.code &&
      (message === '' ? recorded.message === '' : recorded.message.startsWith(message)),
  )
  return { recorded, found }
})

/** Where a text has values of the request in it, any will do; values of an enumeration have no order and grow. */
function textOf(message: string): RegExp {
  const source = message
    .replaceAll('111111111111', '<account>')
    .replaceAll('ap-southeast-1', '<region>')
    .replace(/'([av])\1{100,}'/, "'<long>'")
    .replace(/(enum value set): \[.*\]/, '$1: <values>')
    .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replace(/<values>/, '\\[[A-Z0-9_, ]+\\]')
    .replaceAll(/<[a-z:0-9-]+>/g, '[^ ]+')
  return new RegExp(`^${source}$`)
}

let fixture: AwsFixture
beforeAll(() => {
  fixture = awsFixture()
})

it('has one place for every recorded fault', () => {
  expect(ROWS.length).toBeGreaterThan(60)
  expect(ROWS.filter(({ found }) => found.length !== 1).map(({ recorded }) => recorded)).toEqual([])
})

const PRODUCED = ROWS.flatMap(({ recorded, found }) =>
  found
    .flatMap(([, , ...cases]) => cases)
    .filter(({ needs }) => needs.every((operation) => AWS_OPERATIONS.has(operation)))
    .map((one) => ({
      ...recorded,
      ...one,
      title: `${one.needs[0]}: ${recorded.code} ${recorded.message.slice(0, 90)}`,
    })),
)

it.each(PRODUCED)('$title', async ({ code, message, status, make }) => {
  const answer = await make(fixture)
  expect(answer.json['__type'], answer.text).toBe(code)
  expect(answer.json['message']).toMatch(textOf(message))
  expect(answer.status).toBe(status)
})
