import {
  HASH_BYTES,
  MAC_ALGORITHMS,
  type MacAlgorithm,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../../core/key-spec.ts'
import { digestInfo } from '../../core/rsa-encodings.ts'
import { useSecret } from './data-key.ts'
import { TokenRefusal } from './errors.ts'
import { agreedSecretTemplate } from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import { CKM_ECDSA, CKM_EDDSA, CKM_RSA_PKCS, ecdh, hmacMechanism, pss } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { CKA } from './templates.ts'

/** Longest signature of any algorithm, RSA of 4096 bits, with room to spare. */
const SIGNATURE_BYTES_MAX = 1024

/** What a mechanism of signing is called, for operators and callers, and what it is given. */
interface SigningCall {
  readonly mechanism: { readonly mechanism: number; readonly parameter?: object }
  readonly input: Buffer
}

/** The names of the mechanisms that sign. */
export const SIGNING_MECHANISM_NAMES = {
  'rsa-pkcs1': 'CKM_RSA_PKCS',
  'rsa-pss': 'CKM_RSA_PKCS_PSS',
  ecdsa: 'CKM_ECDSA',
  eddsa: 'CKM_EDDSA',
  'eddsa-ph': 'CKM_EDDSA with phFlag',
} as const

/**
 * C_SignInit and C_Sign.
 *
 * @param data - As `CryptoProvider.sign` takes it.
 * @throws What the token answered; {@link TokenRefusal} `UNSUPPORTED` for Ed25519ph: SoftHSM 2.6.1 leaves the flag out of
 *   account and signs as plain Ed25519, without an error, so no token is asked for it.
 */
export function signWith(token: LaneToken, key: Handle, algorithm: SigningAlgorithm, data: Buffer): Buffer {
  const { mechanism, input } = signingCall(algorithm, data)
  return signBytes(token, mechanism, key, input, SIGNATURE_BYTES_MAX)
}

function signingCall(algorithm: SigningAlgorithm, data: Buffer): SigningCall {
  const { scheme, hash } = SIGNING_ALGORITHMS[algorithm]
  if (scheme === 'rsa-pkcs1') return { mechanism: { mechanism: CKM_RSA_PKCS }, input: digestInfo(hash, data) }
  if (scheme === 'rsa-pss') return { mechanism: pss(hash), input: data }
  if (scheme === 'ecdsa') return { mechanism: { mechanism: CKM_ECDSA }, input: data }
  if (scheme === 'eddsa') return { mechanism: { mechanism: CKM_EDDSA }, input: data }
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: 'No token is asked for Ed25519ph.',
    cannot: `makes no signatures of algorithm ${algorithm} (${SIGNING_MECHANISM_NAMES[scheme]})`,
  })
}

/** The MAC of a message. @throws What the token answered; {@link TokenRefusal} when it is not as long as the hash. */
export function macWith(token: LaneToken, key: Handle, algorithm: MacAlgorithm, message: Buffer): Buffer {
  const { hash } = MAC_ALGORITHMS[algorithm]
  const mac = signBytes(token, { mechanism: hmacMechanism(hash) }, key, message, HASH_BYTES[hash])
  if (mac.length === HASH_BYTES[hash]) return mac
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: `The token made a MAC of ${mac.length} bytes.` })
}

function signBytes(
  token: LaneToken,
  mechanism: SigningCall['mechanism'],
  key: Handle,
  input: Buffer,
  outputBytesMax: number,
): Buffer {
  const { p11, session } = token
  token.beginOperation()
  p11.C_SignInit(session, mechanism as Parameters<typeof p11.C_SignInit>[1], key)
  const signature = p11.C_Sign(session, input, Buffer.alloc(outputBytesMax))
  token.endOperation()
  return signature
}

/**
 * C_DeriveKey with ECDH; the secret is read and destroyed in the token.
 *
 * @param point - Uncompressed, of the curve of the key.
 * @param lengthBytes - Length of a scalar of the curve.
 * @returns The abscissa of the shared point, padded to `lengthBytes`: some tokens strip zeros. The caller zeroes it.
 */
export function deriveWith(token: LaneToken, key: Handle, point: Buffer, lengthBytes: number): Buffer {
  const mechanism = ecdh(point) as Parameters<typeof token.p11.C_DeriveKey>[1]
  const secret = token.p11.C_DeriveKey(token.session, mechanism, key, agreedSecretTemplate(lengthBytes))
  return useSecret(token, secret, (handle) => {
    const [attribute] = token.p11.C_GetAttributeValue(token.session, handle, [{ type: CKA.VALUE }])
    const value = attribute?.value as Buffer
    try {
      const padded = Buffer.alloc(lengthBytes)
      if (value.length > lengthBytes || value.length === 0)
        throw new TokenRefusal({ code: 'UNSUPPORTED', reason: `The token agreed on ${value.length} bytes.` })
      value.copy(padded, lengthBytes - value.length)
      return padded
    } finally {
      value.fill(0)
    }
  })
}
