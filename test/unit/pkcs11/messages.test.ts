import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  decodeFrames,
  encodeFrames,
  type Frame,
  packNotes,
  unpackNotes,
} from '../../../src/providers/pkcs11/lanes/messages.ts'
import { MissingKeyGuard } from '../../../src/providers/pkcs11/missing-key-guard.ts'
import { objectId, objectLabel, parseObjectLabel } from '../../../src/providers/pkcs11/object-names.ts'

const frames = fc.array(
  fc.record({
    id: fc.nat(0xffff_ffff),
    code: fc.nat(255),
    time: fc.double({ noNaN: true }),
    number: fc.nat(0xffff_ffff),
    parts: fc.array(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 6 },
    ),
  }),
  { maxLength: 20 },
)

it('unpacks the frames that were packed, in a buffer that shares its memory with nothing', () => {
  fc.assert(
    fc.property(frames, (list: Frame[]) => {
      const packet = encodeFrames(list)
      expect(packet.buffer.byteLength).toBe(packet.length)
      expect(decodeFrames(packet)).toEqual(list)
    }),
  )
})

it('unpacks the notes that were packed, each up to its bound, and packs none as 0', () => {
  const notes = fc.record({
    sessionsDiscarded: fc.nat(1_023),
    misuses: fc.nat(63),
    sessionObjects: fc.nat(65_535),
  })
  fc.assert(
    fc.property(notes, (some) => {
      expect(unpackNotes(packNotes(some))).toEqual(some)
    }),
  )
  expect(packNotes({ sessionsDiscarded: 0, misuses: 0, sessionObjects: 0 })).toBe(0)
  const many = { sessionsDiscarded: 1e6, misuses: 1e6, sessionObjects: 1e6 }
  expect(unpackNotes(packNotes(many))).toEqual({
    sessionsDiscarded: 1_023,
    misuses: 63,
    sessionObjects: 65_535,
  })
})

it('names an object by key, version and role so that no two share a CKA_ID', () => {
  const name = { keyId: 'ab', versionId: 'c', versionNumber: 1 }
  const ids = [
    objectId(name, 'enc'),
    objectId(name, 'wrap'),
    objectId({ ...name, keyId: 'a', versionId: 'bc' }, 'enc'),
    objectId({ ...name, versionId: 'cenc' }, 'wrap'),
    objectId({ ...name, importId: 'd' }, 'enc'),
    objectId({ ...name, importId: 'e' }, 'enc'),
    objectId({ ...name, importId: 'encd' }, 'wrap'),
  ].map((id) => id.toString('hex'))
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids[0]).toBe('a576d5d80643a9a94ea78385ed2f3a06')
  expect(objectLabel(name, 'wrap')).toBe('kms/ab/v1/wrap')
  const imported = objectLabel({ ...name, importId: '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1' }, 'wrap')
  expect(imported).toBe('kms/ab/v1.0f1e2d3c/wrap')
  expect(parseObjectLabel(imported)).toEqual({ keyId: 'ab', versionNumber: 1, role: 'wrap' })
})

it('reconnects for a missing key once per interval, and only for one that was seen', () => {
  const guard = new MissingKeyGuard()
  const refOf = (keyId: string) => ({ token: 'main', keyId, versionId: 'v', versionNumber: 1 })
  const [a, b] = [refOf('a'), refOf('b')]
  expect(guard.mayReconnect(refOf('never'), 0)).toBe(false)
  guard.found(a)
  guard.found(b)
  expect([guard.mayReconnect(a, 0), guard.mayReconnect(a, 20_000), guard.mayReconnect(b, 5_000)]).toEqual([
    true,
    false,
    false,
  ])
  expect(guard.mayReconnect(b, 10_000)).toBe(true)
  guard.destroyed(a)
  expect(guard.mayReconnect(a, 1_000_000)).toBe(false)
  // The key that was found last bears witness to a token that may have been lost sight of, until we destroy it.
  expect(guard.witness).toEqual(b)
  guard.destroyed(b)
  expect(guard.witness).toBeUndefined()
})
