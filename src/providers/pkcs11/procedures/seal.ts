import { freshIv, gcmSeal } from '../gcm.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Seals bytes of the caller (mode W0).
 *
 * Parts: handle of the `enc` object, AAD, plaintext. Results: IV, ciphertext and tag.
 */
export const seal: Procedure = (token, _, parts) => {
  const sealed = gcmSeal(token, part(parts, 0), freshIv(token), part(parts, 2), part(parts, 1))
  return [sealed.iv, sealed.bytes]
}
