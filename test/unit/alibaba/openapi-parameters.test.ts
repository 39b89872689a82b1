import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OpenApiFault } from '../../../src/http/alibaba/openapi/fault.ts'
import {
  canonicalQuery,
  listOf,
  mergeParameters,
  parseParameters,
  percentEncode,
} from '../../../src/http/alibaba/openapi/parameters.ts'
import { NonceCache } from '../../../src/lib/nonce-cache.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { queryOf } from '../../support/sign-alibaba.ts'

const codeOf = (text: string) => {
  try {
    return parseParameters(text)
  } catch (error) {
    return error instanceof OpenApiFault ? error.code : error
  }
}

/** Of many runs the shortest, which nothing disturbed. */
const bestMsOf = (work: () => unknown) =>
  Math.min(
    ...Array.from({ length: 60 }, () => {
      const start = performance.now()
      work()
      return performance.now() - start
    }),
  )

describe('parameters of the OpenAPI', () => {
  it('are decoded exactly once, whatever was encoded', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => value.isWellFormed())
    const name = fc.stringMatching(/^[A-Za-z.0-9_]{1,20}$/)
    fc.assert(
      fc.property(fc.dictionary(name, text, { noNullPrototype: true }), (record) => {
        expect(parseParameters(queryOf(record))).toEqual(new Map(Object.entries(record)))
      }),
    )
  })

  it('take plus for a space, %2B for a plus, and nothing twice', () => {
    expect([...parseParameters("a=%2541&b=x+y%2Bz&c&d=&e='*~!()")]).toEqual([
      ['a', '%41'],
      ['b', 'x y+z'],
      ['c', ''],
      ['d', ''],
      ['e', "'*~!()"],
    ])
    expect(parseParameters('__proto__=x').get('__proto__')).toBe('x')
    expect(parseParameters('').size).toBe(0)
  })

  it.each([
    ['a broken escape', 'a=%4'],
    ['an escape of other letters', 'a=%zz'],
    ['bytes that are no UTF-8', 'a=%ff'],
    ['a lone surrogate', 'a=%ed%a0%80'],
    ['a name without letters', '=x'],
    ['a parameter twice', 'a=1&b=2&a=1'],
    ['a name twice in two spellings', 'a=1&%61=2'],
    ['a name that is too long', `${'n'.repeat(257)}=1`],
    ['too many pairs', Array.from({ length: 513 }, (_, n) => `n${n}=`).join('&')],
  ])('refuse %s', (_what, text) => {
    expect(codeOf(text)).toBe('ParseRequestParameterException')
  })

  it('cost their length, whatever they are: anybody may send them', () => {
    const text = `a=${'*'.repeat(32_000)}&b=${'%C3%A9'.repeat(5_000)}`
    const byTable = () => percentEncode(canonicalQuery(parseParameters(text)))
    const escape = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
    const unescape = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))
    const byPattern = () => text.replace(/%(..)/g, unescape).replace(/[^\w.~-]/g, escape)
    expect(byTable()).toContain('%252A%252A')
    expect(bestMsOf(byTable)).toBeLessThan(0.7 * bestMsOf(byPattern))
  })

  it('of the body count where the query names them too', () => {
    const merged = mergeParameters(parseParameters('a=1&b=2'), parseParameters('b=3&c=4'))
    expect(Object.fromEntries(merged)).toEqual({ a: '1', b: '3', c: '4' })
  })

  it('spell lists from 1 on, up to the first gap and one past the bound', () => {
    const parameters = parseParameters('K.1=a&K.2=b&K.4=d&L.1=&K.0=z')
    expect(listOf(parameters, 'K', 10)).toEqual(['a', 'b'])
    expect(listOf(parameters, 'K', 1)).toEqual(['a', 'b'])
    expect(listOf(parameters, 'L', 10)).toEqual([])
  })
})

describe('the cache of nonces', () => {
  it('takes a nonce once per access key until its request would be too old', () => {
    const clock = new ManualClock()
    const nonces = new NonceCache(clock)
    const until = clock.now() + 1000
    expect(nonces.take('a', 'n', until)).toBe(true)
    expect(nonces.take('a', 'n', until)).toBe(false)
    expect(nonces.take('b', 'n', until)).toBe(true)
    clock.advance(1100)
    expect(nonces.take('a', 'n', clock.now() + 1000)).toBe(true)
  })

  it('forgets the oldest past its bound, and never more', () => {
    const clock = new ManualClock()
    const nonces = new NonceCache(clock)
    const until = clock.now() + 60_000
    for (let n = 0; n <= 262_144; n++) nonces.take('a', `n${n}`, until)
    expect(nonces.take('a', 'n1', until)).toBe(false)
    expect(nonces.take('a', 'n0', until)).toBe(true)
  })

  it('keeps a nonce, and not the request that it came with', () => {
    const clock = new ManualClock()
    const nonces = new NonceCache(clock)
    const until = clock.now() + 60_000
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    collect()
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 200; n++) {
      const request = parseParameters(
        Buffer.from(`x=${'x'.repeat(200_000)}&Nonce=${n}-as-long-as-one-is`).toString(),
      )
      nonces.take('a', request.get('Nonce') ?? '', until)
    }
    collect()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10_000_000)
    expect(nonces.take('a', '7-as-long-as-one-is', until)).toBe(false)
  })
})
