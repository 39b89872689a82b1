import { gcmSeal } from '../gcm.ts'
import { GCM_IV_BYTES } from '../mechanisms.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Draws a data key and an IV in one C_GenerateRandom, then seals the key (mode W0).
 *
 * Number: length of the data key. Parts: handle of the `enc` object, AAD.
 * Results: IV, ciphertext and tag, data key.
 */
export const sealRandom: Procedure = (token, lengthBytes, parts) => {
  const random = token.p11.C_GenerateRandom(token.session, Buffer.alloc(lengthBytes + GCM_IV_BYTES))
  try {
    const plaintext = random.subarray(GCM_IV_BYTES)
    const sealed = gcmSeal(token, part(parts, 0), random.subarray(0, GCM_IV_BYTES), plaintext, part(parts, 1))
    return [sealed.iv, sealed.bytes, plaintext]
  } catch (error) {
    random.fill(0)
    throw error
  }
}
