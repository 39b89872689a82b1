import { createDecipheriv } from 'node:crypto'
import { OAEP_ALGORITHMS, type OaepAlgorithm } from '../../core/key-spec.ts'
import type { WrappingAlgorithm } from '../../core/ports/import-store.ts'
import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { oaep } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { decryptBy } from './rsa-decryption.ts'
import { type Attribute, unwrappedKeyTemplate } from './templates.ts'

/** RFC 5649, "Alternative Initial Value". */
export const KWP_IV = Buffer.from('a65959a6', 'hex')
const AES_KEY_BYTES: readonly number[] = [16, 24, 32]

/** How an algorithm wraps: RSAES-OAEP of the material, or of an AES key that the material is wrapped with (RFC 5649). */
const ROWS: Readonly<
  Record<WrappingAlgorithm, { readonly outer: OaepAlgorithm; readonly twoSteps: boolean }>
> = {
  RSAES_OAEP_SHA_1: { outer: 'RSAES_OAEP_SHA_1', twoSteps: false },
  RSAES_OAEP_SHA_256: { outer: 'RSAES_OAEP_SHA_256', twoSteps: false },
  RSA_AES_KEY_WRAP_SHA_1: { outer: 'RSAES_OAEP_SHA_1', twoSteps: true },
  RSA_AES_KEY_WRAP_SHA_256: { outer: 'RSAES_OAEP_SHA_256', twoSteps: true },
}

export function wrapsInTwoSteps(algorithm: WrappingAlgorithm): boolean {
  return ROWS[algorithm].twoSteps
}

export function hashOf(algorithm: WrappingAlgorithm): 'sha1' | 'sha256' {
  return OAEP_ALGORITHMS[ROWS[algorithm].outer].hash
}

/** @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` for bytes that are too few or too many. */
function split(
  algorithm: WrappingAlgorithm,
  wrapped: Buffer,
  modulusBytes: number,
): readonly [Buffer, Buffer] {
  const [first, rest] = [wrapped.subarray(0, modulusBytes), wrapped.subarray(modulusBytes)]
  const whole = first.length === modulusBytes && rest.length > 0 === ROWS[algorithm].twoSteps
  if (whole) return [first, rest]
  throw unreadable('The wrapped material has a wrong length.')
}

/**
 * C_UnwrapKey of wrapped material into an object of `template`: no byte of it reaches this process.
 *
 * @param privateKey - May unwrap.
 */
export function unwrapInside(
  token: LaneToken,
  privateKey: Handle,
  algorithm: WrappingAlgorithm,
  modulusBytes: number,
  wrapped: Buffer,
  template: Attribute[],
): Handle {
  const { p11, session } = token
  const [first, rest] = split(algorithm, wrapped, modulusBytes)
  const outer = oaep(hashOf(algorithm))
  if (!wrapsInTwoSteps(algorithm)) return p11.C_UnwrapKey(session, outer, privateKey, first, template)
  const mechanism = keyWrapOf(token)
  const ephemeral = p11.C_UnwrapKey(session, outer, privateKey, first, unwrappedKeyTemplate('wrap'))
  token.countSessionObjects(1)
  try {
    return p11.C_UnwrapKey(session, { mechanism }, ephemeral, rest, template)
  } finally {
    p11.C_DestroyObject(session, ephemeral)
  }
}

/** @throws {@link TokenRefusal} `UNSUPPORTED` where the token does not do RFC 5649. */
function keyWrapOf(token: LaneToken): number {
  const found = token.capabilities.keyWraps.find(({ format }) => format === 'rfc5649')
  if (found) return found.mechanism
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'The token has no key wrap of RFC 5649.' })
}

/**
 * Unwraps material into the memory of this process.
 *
 * @param privateKey - May decrypt.
 * @returns The caller zeroes it.
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID`, whatever is wrong with what it decrypts to; what the token answered.
 */
export function unwrapOnHost(
  token: LaneToken,
  privateKey: Handle,
  algorithm: WrappingAlgorithm,
  modulusBytes: number,
  wrapped: Buffer,
): Buffer {
  const [first, rest] = split(algorithm, wrapped, modulusBytes)
  const key = decryptBy(token, privateKey, ROWS[algorithm].outer, 'raw', first)
  if (!key) throw unreadable('The padding of RSAES-OAEP is wrong.')
  if (!wrapsInTwoSteps(algorithm)) return key
  try {
    return unwrapKwp(key, rest)
  } finally {
    key.fill(0)
  }
}

function unwrapKwp(key: Buffer, wrapped: Buffer): Buffer {
  if (!AES_KEY_BYTES.includes(key.length)) throw unreadable('The key that wraps the material is no AES key.')
  try {
    const decipher = createDecipheriv(`id-aes${key.length * 8}-wrap-pad`, key, KWP_IV)
    return concatZeroing(decipher.update(wrapped), decipher.final())
  } catch {
    throw unreadable('The material does not unwrap with RFC 5649.')
  }
}

function concatZeroing(...parts: readonly Buffer[]): Buffer {
  const whole = Buffer.concat(parts)
  for (const part of parts) part.fill(0)
  return whole
}

export function unreadable(reason: string): TokenRefusal {
  return new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason })
}
