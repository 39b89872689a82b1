import {
  HASH_BYTES,
  MAC_ALGORITHMS,
  type MacAlgorithm,
  SIGNING_ALGORITHMS,
  type SigningScheme,
  type TokenSigning,
} from '../../core/key-spec.ts'
import { digestInfo } from '../../core/rsa-encodings.ts'
import { useSecret } from './data-key.ts'
import { TokenRefusal } from './errors.ts'
import { agreedSecretTemplate } from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import {
  CKM_ECDSA,
  CKM_EDDSA,
  CKM_ML_DSA,
  CKM_ML_DSA_EXTERNAL_MU,
  CKM_RSA_PKCS,
  ecdh,
  eddsaPh,
  hmacMechanism,
  pss,
} from './mechanisms.ts'
import type { Handle } from './module.ts'
import { CKA } from './templates.ts'
import { unlessUnable } from './unless-unable.ts'

/** Longest signature of any algorithm, ML-DSA-87, with room to spare. */
const SIGNATURE_BYTES_MAX = 5120

interface SigningCall {
  readonly mechanism: { readonly mechanism: number; readonly parameter?: object }
  readonly input: Buffer
}

/** The names of the mechanisms that sign, for operators and callers. */
export const SIGNING_MECHANISM_NAMES = {
  'rsa-pkcs1': 'CKM_RSA_PKCS',
  'rsa-pss': 'CKM_RSA_PKCS_PSS',
  ecdsa: 'CKM_ECDSA',
  eddsa: 'CKM_EDDSA',
  'eddsa-ph': 'CKM_EDDSA with phFlag',
  'ml-dsa': 'CKM_ML_DSA',
} as const satisfies Readonly<Record<SigningScheme, string>>

/**
 * C_SignInit and C_Sign. That a token knows Ed25519ph and ML-DSA of µ was not seen when the key was made, so it is told from a
 * broken one here.
 *
 * @param data - As `CryptoProvider.sign` takes it.
 * @throws What the token answered; {@link TokenRefusal} `UNSUPPORTED`, naming the mechanism.
 */
export function signWith(token: LaneToken, key: Handle, algorithm: TokenSigning, data: Buffer): Buffer {
  const { mechanism, input } = signingCall(algorithm, data)
  const sign = () => signBytes(token, mechanism, key, input, SIGNATURE_BYTES_MAX)
  const cannot = UNPROVED[algorithm]
  return cannot === undefined ? sign() : unlessUnable(token, cannot, sign)
}

/** What a token that knows such keys may still be unable to do, as `RefusalFault.cannot` has it. */
const UNPROVED: Readonly<Partial<Record<TokenSigning, string>>> = {
  ED25519_PH_SHA_512: `makes no signatures of algorithm ED25519_PH_SHA_512 (${SIGNING_MECHANISM_NAMES['eddsa-ph']})`,
  ML_DSA_EXTERNAL_MU:
    'makes no signatures of algorithm ML_DSA_SHAKE_256 of EXTERNAL_MU (CKM_ML_DSA_EXTERNAL_MU)',
}

function signingCall(algorithm: TokenSigning, data: Buffer): SigningCall {
  if (algorithm === 'ML_DSA_EXTERNAL_MU')
    return { mechanism: { mechanism: CKM_ML_DSA_EXTERNAL_MU }, input: data }
  const { scheme, hash } = SIGNING_ALGORITHMS[algorithm]
  if (scheme === 'rsa-pkcs1') return { mechanism: { mechanism: CKM_RSA_PKCS }, input: digestInfo(hash, data) }
  if (scheme === 'rsa-pss') return { mechanism: pss(hash), input: data }
  return { mechanism: PLAIN_MECHANISMS[scheme], input: data }
}

const PLAIN_MECHANISMS = {
  ecdsa: { mechanism: CKM_ECDSA },
  eddsa: { mechanism: CKM_EDDSA },
  'eddsa-ph': eddsaPh(),
  'ml-dsa': { mechanism: CKM_ML_DSA },
} as const

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
