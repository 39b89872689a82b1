import { makeDataKey, readSecret, useSecret } from './data-key.ts'
import { describeFault, TokenRefusal } from './errors.ts'
import { gcmUnwrapKey, gcmWrapKey } from './gcm.ts'
import { formatOf, KEY_WRAP_FORMATS, unwrapKey, wrapKey } from './key-wrap.ts'
import type { LaneToken } from './lane-token.ts'
import type { Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { lastByteFlipped, OTHER_AAD, PROBE_AAD } from './probe-gcm.ts'
import { attempt, refusalOf } from './probe-trial.ts'
import type { KeyWrap, KeyWrapFormat, ReadOut } from './settings.ts'

const READ_OUTS = ['explicit', 'bare', 'explicitWithLength', 'bareWithLength'] as const satisfies ReadOut[]

/** A key of 32 bytes becomes 40, 48 or 56, by which the formats are told apart. */
const KEY_BYTES = 32

/** One way to bring a data key out of the token and in again. */
interface Road<T> {
  wrap(secret: Handle, lengthBytes: number): T
  unwrap(wrapped: T, lengthBytes: number, readOut: ReadOut): Handle
}

/** Mode W1. @returns How to read out, and what the token answers to wrong additional data and a wrong tag. */
export function probeGcmWrap(
  token: LaneToken,
  wrapping: Handle,
): { readonly readOut: ReadOut; readonly refusalCkrs: readonly string[] } {
  const road = gcmRoad(token, wrapping)
  const readOut = findReadOut(token, road)
  const sealed = wrapFresh(token, road, KEY_BYTES)
  const refuses = (what: string, forged: Sealed, aad: Buffer) => {
    const ckr = refusalOf(token, () => {
      const unwrapped = gcmUnwrapKey(token, wrapping, forged, aad, readOut)
      token.p11.C_DestroyObject(token.session, unwrapped)
    })
    if (ckr === undefined) throw unfit(`C_UnwrapKey takes ${what}.`)
    return ckr
  }
  const refusalCkrs = [
    refuses('a wrong tag', { ...sealed, bytes: lastByteFlipped(sealed.bytes) }, PROBE_AAD),
    refuses('wrong additional data', sealed, OTHER_AAD),
  ]
  // A token that fell silent would have refused these too.
  valueOf(token, road, sealed, KEY_BYTES, readOut).fill(0)
  return { readOut, refusalCkrs }
}

/** Mode W2, with one candidate. @throws {@link TokenRefusal} when its output is of no format we know. */
export function probeKeyWrap(token: LaneToken, wrapping: Handle, mechanism: number): KeyWrap {
  const road = keyWrapRoad(token, wrapping, mechanism)
  const { length } = wrapFresh(token, road, KEY_BYTES)
  const format = formatOf(mechanism, KEY_BYTES, length)
  if (!format)
    throw unfit(`C_WrapKey made ${length} bytes of ${KEY_BYTES}, which no format does that we know.`)
  return { mechanism, format, readOut: findReadOut(token, road) }
}

/** The lengths of data keys that survive the way out and in, within what we serve (1 to 1024 bytes). */
export function probeLengths(token: LaneToken, wrapping: Handle, road: 'gcm' | KeyWrap, gcmReadOut: ReadOut) {
  const works = (lengthBytes: number) =>
    road === 'gcm'
      ? survives(token, gcmRoad(token, wrapping), lengthBytes, gcmReadOut)
      : survives(token, keyWrapRoad(token, wrapping, road.mechanism, road.format), lengthBytes, road.readOut)
  return {
    min: [1, 8, 16].find(works) ?? KEY_BYTES,
    max: [1024, 512, 256, 128, 64].find(works) ?? KEY_BYTES,
  }
}

function survives<T>(token: LaneToken, road: Road<T>, lengthBytes: number, readOut: ReadOut): boolean {
  return attempt(token, () => {
    valueOf(token, road, wrapFresh(token, road, lengthBytes), lengthBytes, readOut).fill(0)
  }).ok
}

function gcmRoad(token: LaneToken, wrapping: Handle): Road<Sealed> {
  return {
    wrap: (secret, lengthBytes) => gcmWrapKey(token, wrapping, secret, lengthBytes, PROBE_AAD),
    unwrap: (sealed, _, readOut) => gcmUnwrapKey(token, wrapping, sealed, PROBE_AAD, readOut),
  }
}

/** @param format - Where it is known, what is wrapped must have its length. */
function keyWrapRoad(
  token: LaneToken,
  wrapping: Handle,
  mechanism: number,
  format?: KeyWrapFormat,
): Road<Buffer> {
  return {
    wrap: (secret, lengthBytes) => {
      const wrapped = wrapKey(token, mechanism, wrapping, secret, lengthBytes)
      if (format && wrapped.length !== KEY_WRAP_FORMATS[format].wrappedBytes(lengthBytes)) {
        throw unfit(`C_WrapKey made ${wrapped.length} bytes of ${lengthBytes}.`)
      }
      return wrapped
    },
    unwrap: (wrapped, lengthBytes, readOut) =>
      unwrapKey(token, { mechanism, readOut }, wrapping, wrapped, lengthBytes),
  }
}

function wrapFresh<T>(token: LaneToken, road: Road<T>, lengthBytes: number): T {
  return useSecret(token, makeDataKey(token, lengthBytes), (secret) => road.wrap(secret, lengthBytes))
}

/** The first template with which two keys come back as two values, and one of them twice as the same. */
function findReadOut<T>(token: LaneToken, road: Road<T>): ReadOut {
  const [one, other] = [wrapFresh(token, road, KEY_BYTES), wrapFresh(token, road, KEY_BYTES)]
  const answers = new Set<string>()
  for (const readOut of READ_OUTS) {
    const trial = attempt(token, () => {
      const [first, again, second] = [one, one, other].map((wrapped) =>
        valueOf(token, road, wrapped, KEY_BYTES, readOut),
      ) as [Buffer, Buffer, Buffer]
      const faithful = first.equals(again) && !first.equals(second)
      for (const value of [first, again, second]) value.fill(0)
      if (!faithful) throw unfit('What C_UnwrapKey gives is not what was wrapped.')
    })
    if (trial.ok) return readOut
    answers.add(describeFault(trial.fault))
  }
  throw unfit([...answers].join(' '))
}

/** What comes back of a key that was wrapped; the caller zeroes it. */
function valueOf<T>(
  token: LaneToken,
  road: Road<T>,
  wrapped: T,
  lengthBytes: number,
  readOut: ReadOut,
): Buffer {
  const value = useSecret(token, road.unwrap(wrapped, lengthBytes, readOut), (secret) =>
    readSecret(token, secret, lengthBytes),
  )
  if (!value) throw unfit('What C_UnwrapKey gives has another length than what was wrapped.')
  return value
}

function unfit(reason: string): TokenRefusal {
  return new TokenRefusal({ code: 'UNSUPPORTED', reason })
}
