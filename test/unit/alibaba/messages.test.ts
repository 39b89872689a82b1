import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MESSAGES, type Message, type MessageName } from '../../../src/http/alibaba/instance/messages.ts'
import { encodeMessage, parseMessage } from '../../../src/http/alibaba/instance/protobuf.ts'

type FieldValue = string | number | boolean | readonly string[] | { readonly hex: string }
interface Vector {
  readonly message: MessageName
  readonly kind: string
  readonly fields: Readonly<Record<string, FieldValue>>
  readonly hex: string
}
const { vectors } = JSON.parse(
  readFileSync(new URL('../../vectors/dkms-gcs-0.2/vectors.json', import.meta.url), 'utf8'),
) as { readonly vectors: readonly Vector[] }

const DEFAULTS = { string: '', bytes: Buffer.alloc(0), int32: 0, bool: false, strings: [] } as const

/** The vector's fields as the program has them, the absent ones with their defaults. */
function messageOf({ message, fields }: Vector): Message<'Error'> {
  const whole = Object.entries(MESSAGES[message]).map(([name, [, kind]]) => {
    const value = fields[name] ?? DEFAULTS[kind as keyof typeof DEFAULTS]
    return [name, typeof value === 'object' && 'hex' in value ? Buffer.from(value.hex, 'hex') : value]
  })
  return Object.fromEntries(whole) as Message<'Error'>
}

const sample: Message<'EncryptRequest'> = {
  KeyId: 'key',
  Plaintext: Buffer.from('plain'),
  Algorithm: 'AES_GCM',
  Aad: Buffer.alloc(0),
  Iv: Buffer.alloc(12, 7),
  PaddingMode: '',
}

describe('messages of the instance API', () => {
  it('are all of the SDK, each in vectors of another implementation', () => {
    expect(new Set(vectors.map(({ message }) => message))).toEqual(new Set(Object.keys(MESSAGES)))
  })

  it.each(vectors)('$message, $kind, is encoded as by another implementation', (vector) => {
    expect(encodeMessage(vector.message, messageOf(vector)).toString('hex')).toBe(vector.hex)
  })

  it.each(vectors)('$message, $kind, is read as by another implementation', (vector) => {
    expect(parseMessage(vector.message, Buffer.from(vector.hex, 'hex'))).toEqual(messageOf(vector))
  })

  it.each([
    ['a field cut short', '0a05616263'],
    ['a tag cut short', '0a0161ff'],
    ['a length past the end', '0affffffff0f'],
    ['a length that is negative', '0affffffffffffffffff01'],
    ['another wire type', '0801'],
    ['text that is not UTF-8', '0a02fffe'],
    ['a field that the message does not have', '0a0161520161'],
    ['a number that the message does not have', '0a0161f8070a'],
    ['field number 0', '020161'],
    ['wire type 6', '0e'],
    ['the end of a group that never began', '0c'],
    ['a group', '0b0c'],
  ])('are refused with %s', (_what, hex) => {
    expect(parseMessage('EncryptRequest', Buffer.from(hex, 'hex'))).toBeUndefined()
  })

  it('are refused with a hundred thousand groups in each other', () => {
    expect(parseMessage('EncryptRequest', Buffer.alloc(100_000, 0x5b))).toBeUndefined()
  })

  it('take the last of a field that is there twice', () => {
    const twice = Buffer.from('0a01610a0162', 'hex')
    expect(parseMessage('EncryptRequest', twice)?.KeyId).toBe('b')
  })

  it('never make the reader throw', () => {
    const start = encodeMessage('EncryptRequest', sample)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(start.length), (bytes, cut) => {
        const hostile = Buffer.concat([start.subarray(0, cut), bytes])
        const message = parseMessage('EncryptRequest', hostile)
        if (message)
          expect(parseMessage('EncryptRequest', encodeMessage('EncryptRequest', message))).toEqual(message)
      }),
    )
  })
})
