import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  encodeTokenUri,
  matchesCriteria,
  parseTokenSelector,
  parseTokenUri,
} from '../../../src/providers/pkcs11/token-selector.ts'

it('reads the attributes of a token from an RFC 7512 URI', () => {
  expect(parseTokenUri('pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;serial=0a1b')).toEqual({
    label: 'The Software PKCS#11 Softtoken',
    serial: '0a1b',
  })
  expect(parseTokenUri('pkcs11:manufacturer=M%C3%BCller;model=v2;slot-id=42')).toEqual({
    manufacturer: 'Müller',
    model: 'v2',
    slotId: 42,
  })
})

it.each([
  ['pkcs11:token=a?pin-value=1234', 'pin-value'],
  ['pkcs11:token=a?pin-source=file:/x', 'pin-source'],
  ['pkcs11:token=a?module-path=/x', 'query'],
  ['pkcs11:token=a;object=key', 'object'],
  ['pkcs11:token=a;token=b', 'twice'],
  ['pkcs11:token=%ff', 'UTF-8'],
  ['pkcs11:slot-id=0x1', 'decimal'],
  ['pkcs11:', 'attribute'],
  ['pkcs11:token', 'attribute'],
  ['http://token', 'begins'],
  [`pkcs11:token=${'a'.repeat(2000)}`, 'characters'],
])('refuses %s', (uri, reason) => {
  expect(() => parseTokenUri(uri)).toThrow(reason)
})

it('never repeats a PIN of a URI in its refusal', () => {
  expect(() => parseTokenUri('pkcs11:token=a?pin-value=8841207')).toThrow(/^(?!.*8841207)/)
})

it('takes the serial before the label, and a URI alone', () => {
  expect(parseTokenSelector({ serial: '1', label: 'a' })).toEqual({ serial: '1' })
  expect(parseTokenSelector({ label: 'a' })).toEqual({ label: 'a' })
  expect(() => parseTokenSelector({})).toThrow('none is given')
  expect(() => parseTokenSelector({ label: 'a', uri: 'pkcs11:token=a' })).toThrow('not by both')
})

it('matches a token that has every attribute asked for', () => {
  const token = { label: 'a', serial: '1', manufacturer: 'm', model: 'v2', slotId: 7 }
  expect(matchesCriteria(token, { label: 'a', slotId: 7 })).toBe(true)
  expect(matchesCriteria(token, { label: 'a', serial: '2' })).toBe(false)
})

it('writes the URI that selects a token, whatever the token says of itself', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 32 })
  fc.assert(
    fc.property(fc.record({ label: text, serial: text, manufacturer: text, model: text }), (token) => {
      fc.pre(Object.values(token).some((value) => value !== ''))
      const given = Object.fromEntries(Object.entries(token).filter(([, value]) => value !== ''))
      expect(parseTokenUri(encodeTokenUri(token))).toEqual(given)
    }),
  )
  expect(encodeTokenUri({ label: 'a b;?', serial: '1', manufacturer: '', model: 'v' })).toBe(
    'pkcs11:token=a%20b%3B%3F;serial=1;model=v',
  )
})
