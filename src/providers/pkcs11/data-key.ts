import type { LaneToken } from './lane-token.ts'
import { CKM_GENERIC_SECRET_KEY_GEN } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { CKA, dataKeyTemplate } from './templates.ts'

/** A data key that is made in the token, as a session object that can be wrapped. The caller destroys it. */
export function makeDataKey(token: LaneToken, lengthBytes: number): Handle {
  const template = dataKeyTemplate(lengthBytes, token.capabilities.dataKeysSensitive)
  return token.p11.C_GenerateKey(token.session, { mechanism: CKM_GENERIC_SECRET_KEY_GEN }, template)
}

/** Lends a session object to `work` and destroys it afterwards. An error of `work` is the one that is thrown. */
export function useSecret<T>(token: LaneToken, secret: Handle, work: (secret: Handle) => T): T {
  const { session } = token
  token.countSessionObjects(1)
  let result: T
  try {
    result = work(secret)
  } catch (error) {
    try {
      token.p11.C_DestroyObject(session, secret)
    } catch {
      // The session is lost, and the object with it.
    }
    throw error
  }
  token.p11.C_DestroyObject(session, secret)
  return result
}

/** SoftHSM 2.6.1 pads with zeros to a multiple of 8 bytes before it wraps, and unwraps the padding too. */
const PADDING_BYTES_MAX = 7

/**
 * The value of a session object that was unwrapped to be read, without a token's padding; the caller zeroes it.
 *
 * @returns `undefined` when it is not a value of `lengthBytes`.
 */
export function readSecret(token: LaneToken, secret: Handle, lengthBytes: number): Buffer | undefined {
  const [attribute] = token.p11.C_GetAttributeValue(token.session, secret, [{ type: CKA.VALUE }])
  const value = attribute?.value as Buffer
  const paddingBytes = value.length - lengthBytes
  const padding = value.subarray(lengthBytes)
  if (paddingBytes === 0) return value
  try {
    if (paddingBytes < 0 || paddingBytes > PADDING_BYTES_MAX || padding.some((byte) => byte !== 0))
      return undefined
    return Buffer.from(value.subarray(0, lengthBytes))
  } finally {
    value.fill(0)
  }
}
