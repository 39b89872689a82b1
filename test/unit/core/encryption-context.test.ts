import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ENCRYPTION_CONTEXT_BYTES_MAX,
  encodeEncryptionContext,
} from '../../../src/core/encryption-context.ts'

const encode = (pairs: Readonly<Record<string, string>>) =>
  encodeEncryptionContext(new Map(Object.entries(pairs))).toString('hex')

const wellFormed = fc.string({ unit: 'grapheme', maxLength: 12 })
const contexts = fc.array(fc.tuple(wellFormed, wellFormed), { maxLength: 6 }).map((pairs) => new Map(pairs))

describe('encryption context', () => {
  it('CTX-1 has one byte when there are no pairs', () => {
    expect(encode({})).toBe('00')
  })

  it('CTX-2 is count, then length-prefixed pairs sorted by the bytes of the names', () => {
    expect(encode({ b: '2', a: '' })).toBe('010002' + '000161' + '0000' + '000162' + '000132')
    // U+FF5E sorts before U+1F600 by UTF-8 bytes, and after it by UTF-16 code units.
    expect(encode({ '\u{1F600}': 'x', '～': 'y' })).toBe(
      '010002' + '0003efbd9e' + '000179' + '0004f09f9880' + '000178',
    )
  })

  it('CTX-2 does not depend on the order of the pairs', () => {
    fc.assert(
      fc.property(contexts, (context) => {
        const reversed = new Map([...context].reverse())
        expect(encodeEncryptionContext(reversed)).toEqual(encodeEncryptionContext(context))
      }),
    )
  })

  it('CTX-3 tells {"a":"bc"} from {"ab":"c"} and from every regrouping of the same letters', () => {
    const groupings = [
      { a: 'bc' },
      { ab: 'c' },
      { abc: '' },
      { '': 'abc' },
      { a: 'b', c: '' },
      { a: '', b: 'c' },
    ]
    expect(new Set(groupings.map((pairs) => encode(pairs as Record<string, string>))).size).toBe(
      groupings.length,
    )
  })

  it('CTX-3 gives two contexts the same bytes only if they hold the same pairs', () => {
    fc.assert(
      fc.property(contexts, contexts, (a, b) => {
        const same = a.size === b.size && [...a].every(([name, value]) => b.get(name) === value)
        expect(encodeEncryptionContext(a).equals(encodeEncryptionContext(b))).toBe(same)
      }),
      { numRuns: 2000 },
    )
  })

  it('CTX-4 refuses a lone surrogate in a name or a value', () => {
    expect(() => encode({ 'a\ud800': 'b' })).toThrow('not well-formed Unicode')
    expect(() => encode({ a: '\udc00' })).toThrow('not well-formed Unicode')
  })

  it('CTX-5 takes 8192 bytes and refuses one more', () => {
    const fixed = 1 + 2 + 2 + 1 + 2
    const longest = 'v'.repeat(ENCRYPTION_CONTEXT_BYTES_MAX - fixed)
    expect(encodeEncryptionContext(new Map([['n', longest]]))).toHaveLength(ENCRYPTION_CONTEXT_BYTES_MAX)
    expect(() => encode({ n: `${longest}v` })).toThrow('longer than 8192 bytes')
  })
})
