import { u16 } from '../../../lib/bytes.ts'
import { gcmSeal, randomIv } from '../gcm.ts'
import { CKM_GENERIC_SECRET_KEY_GEN, KEY_WRAP_OVERHEAD_BYTES_MAX } from '../mechanisms.ts'
import { dataKeyTemplate } from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Makes a data key in the token, wraps it there and seals the wrapped bytes (mode W2): this process sees no plaintext.
 *
 * Number: length of the data key. Parts: handle of the `enc` object, handle of the `wrap` object, AAD, CKM number of
 * the wrap mechanism (u32be). Results: IV, ciphertext and tag of u16be(length) and the wrapped bytes.
 *
 * @see RFC 5649, "Alternative Initial Value"
 */
export const sealRandomInside: Procedure = (token, lengthBytes, parts) => {
  const { p11, session } = token
  const mechanism = { mechanism: part(parts, 3).readUInt32BE() }
  const output = Buffer.allocUnsafe(lengthBytes + KEY_WRAP_OVERHEAD_BYTES_MAX)
  const dataKey = p11.C_GenerateKey(
    session,
    { mechanism: CKM_GENERIC_SECRET_KEY_GEN },
    dataKeyTemplate(lengthBytes),
  )
  let wrapped: Buffer
  try {
    wrapped = p11.C_WrapKey(session, mechanism, part(parts, 1), dataKey, output)
  } finally {
    p11.C_DestroyObject(session, dataKey)
  }
  const payload = Buffer.concat([u16(lengthBytes), wrapped])
  const sealed = gcmSeal(token, part(parts, 0), randomIv(token), payload, part(parts, 2))
  return [sealed.iv, sealed.bytes]
}
