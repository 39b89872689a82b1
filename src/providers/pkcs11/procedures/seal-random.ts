import { freshIv, gcmSeal } from '../gcm.ts'
import { GCM_IV_BYTES } from '../mechanisms.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Draws a data key, and the IV in the same C_GenerateRandom where the token takes ours, then seals the key (mode W0).
 *
 * Number: length of the data key. Parts: handle of the `enc` object, AAD.
 * Results: IV, ciphertext and tag, data key.
 */
export const sealRandom: Procedure = (token, lengthBytes, parts) => {
  const ivBytes = token.capabilities.gcm.ivSource === 'caller' ? GCM_IV_BYTES : 0
  const random = token.p11.C_GenerateRandom(token.session, Buffer.alloc(ivBytes + lengthBytes))
  try {
    const iv = ivBytes === 0 ? freshIv(token) : random.subarray(0, ivBytes)
    const plaintext = random.subarray(ivBytes)
    const sealed = gcmSeal(token, part(parts, 0), iv, plaintext, part(parts, 1))
    return [sealed.iv, sealed.bytes, plaintext]
  } catch (error) {
    random.fill(0)
    throw error
  }
}
