import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import { OAEP_ALGORITHMS, type OaepAlgorithm } from '../../core/key-spec.ts'
import { removeOaepPadding } from '../../core/oaep.ts'
import { isAmbiguous, TokenRefusal, toFault } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_RSA_X_509, oaep } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { isUnsupported } from './private-key-wrap.ts'
import { openKnownGood } from './prove-open.ts'

/** Longest modulus. Bytes. */
const MODULUS_BYTES_MAX = 512
const PROOF_TEXT = Buffer.from('p11kms/rsa/v1', 'utf8')

/**
 * Who takes the padding of OAEP off: the token, or this process. SoftHSM 2.6.1 knows SHA-1 alone, and answers
 * CKR_ARGUMENTS_BAD to SHA-256.
 */
type RsaWay = 'oaep' | 'raw'
const WAYS: readonly RsaWay[] = ['oaep', 'raw']

/** A private key, and the public one that belongs to it. */
export interface RsaKey {
  readonly handle: Handle
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer
}

/**
 * How this token decrypts with an algorithm, found by trying with a text that is encrypted here and remembered for the
 * connection of this lane. Never by a ciphertext of a caller's. A device that stumbled gets a second chance: the way that it
 * fell back to would be gone for the whole connection.
 *
 * @throws What the token answered to the last way.
 */
export function rsaWay(token: LaneToken, key: RsaKey, algorithm: OaepAlgorithm): RsaWay {
  const known = token.rsaWays.get(algorithm) as RsaWay | undefined
  if (known) return known
  let refusal: unknown
  for (const way of WAYS) {
    for (let chance = 1; chance <= 2; chance++) {
      try {
        proveDecryption(token, key, algorithm, way)
        token.rsaWays.set(algorithm, way)
        return way
      } catch (error) {
        const fault = toFault(error)
        // A token that leaves the hash out of account finds the padding wrong, or decrypts to something else.
        const wrong = fault.kind === 'refusal' && fault.broken === true
        if (!wrong && !isAmbiguous(fault) && !isUnsupported(error)) throw error
        token.discardSession()
        refusal = error
        if (!isAmbiguous(fault)) break
      }
    }
  }
  throw refusal
}

/**
 * Proves a key that nothing is known of: that the token decrypts with it what was encrypted with its public key, in the way in which
 * it decrypts with others where that is known.
 *
 * @throws What the token answered; {@link TokenRefusal} with `broken` where it decrypts to something else.
 */
export function proveRsaKey(token: LaneToken, key: RsaKey, algorithm: OaepAlgorithm): void {
  const known = token.rsaWays.get(algorithm) as RsaWay | undefined
  if (known) proveDecryption(token, key, algorithm, known)
  else rsaWay(token, key, algorithm)
}

/** Proves that the token decrypts with a key. @throws What the token answered. */
export function proveDecryption(token: LaneToken, key: RsaKey, algorithm: OaepAlgorithm, way: RsaWay): void {
  const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: OAEP_ALGORITHMS[algorithm].hash }
  const publicKey = createPublicKey({ key: key.spki, format: 'der', type: 'spki' })
  const ciphertext = publicEncrypt({ key: publicKey, ...options }, PROOF_TEXT)
  const decrypt = () => decryptBy(token, key.handle, algorithm, way, ciphertext)
  if (openKnownGood(decrypt)?.equals(PROOF_TEXT)) return
  throw new TokenRefusal({
    code: 'TOKEN_UNAVAILABLE',
    reason: 'The token does not decrypt what was encrypted with the public key.',
    broken: true,
  })
}

/**
 * C_DecryptInit and C_Decrypt.
 *
 * @param ciphertext - As long as the modulus, and a number below it.
 * @returns `undefined` where this process found the padding wrong. The caller zeroes it.
 * @throws What the token answered, which a wrong padding is where the token takes it off.
 */
export function decryptBy(
  token: LaneToken,
  key: Handle,
  algorithm: OaepAlgorithm,
  way: RsaWay,
  ciphertext: Buffer,
): Buffer | undefined {
  const { hash } = OAEP_ALGORITHMS[algorithm]
  if (way === 'oaep') return decryptOnce(token, oaep(hash), key, ciphertext)
  const number = decryptOnce(token, { mechanism: CKM_RSA_X_509 }, key, ciphertext)
  // A token may leave out the zeros before the number.
  const encoded = Buffer.alloc(ciphertext.length)
  number.copy(encoded, Math.max(0, encoded.length - number.length))
  number.fill(0)
  return removeOaepPadding(algorithm, encoded)
}

function decryptOnce(token: LaneToken, mechanism: object, key: Handle, ciphertext: Buffer): Buffer {
  const { p11, session } = token
  const output = Buffer.alloc(MODULUS_BYTES_MAX)
  token.beginOperation()
  p11.C_DecryptInit(session, mechanism as Parameters<typeof p11.C_DecryptInit>[1], key)
  try {
    const plaintext = p11.C_Decrypt(session, ciphertext, output)
    token.endOperation()
    return plaintext
  } catch (error) {
    output.fill(0)
    throw error
  }
}
