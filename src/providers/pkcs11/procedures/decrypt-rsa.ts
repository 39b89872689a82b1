import { OAEP_ALGORITHMS, type OaepAlgorithm } from '../../../core/key-spec.ts'
import { invariant } from '../../../lib/invariant.ts'
import { TokenRefusal } from '../errors.ts'
import { openProven } from '../prove-open.ts'
import { decryptBy, proveDecryption, rsaWay } from '../rsa-decryption.ts'
import { type Procedure, part } from './procedure.ts'

/** Algorithms by the number that a request has for them. */
export const OAEP_NUMBERS = Object.keys(OAEP_ALGORITHMS) as readonly OaepAlgorithm[]

/**
 * Decrypts with a private RSA key.
 *
 * Number: index in {@link OAEP_NUMBERS}. Parts: handle of the `priv` object, ciphertext (as long as the modulus and below it),
 * SubjectPublicKeyInfo. Result: the plaintext.
 */
export const decryptRsa: Procedure = (token, number, parts) => {
  const algorithm = OAEP_NUMBERS[number]
  invariant(algorithm, 'a request names an algorithm')
  const key = { handle: part(parts, 0), spki: part(parts, 2) }
  const way = rsaWay(token, key, algorithm)
  const plaintext = openProven(
    token,
    () => decryptBy(token, key.handle, algorithm, way, part(parts, 1)),
    () => proveDecryption(token, key, algorithm, way),
  )
  if (plaintext) return [plaintext]
  throw new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason: 'The padding of RSAES-OAEP is wrong.' })
}
