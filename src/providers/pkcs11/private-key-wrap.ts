import { cutPkcs8 } from '../../core/pkcs8.ts'
import { useSecret } from './data-key.ts'
import { describeFault, type RefusalFault, ruleOf, TokenRefusal, toFault } from './errors.ts'
import { freshIv, gcmSeal, gcmUnwrapAs, gcmWrapPrivateKey } from './gcm.ts'
import { encodeWrappedPayload, unwrapAs, wrapKey } from './key-wrap.ts'
import type { LaneToken } from './lane-token.ts'
import { GCM_TAG_BYTES, type Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import { readRsaPrivateKey } from './pair-attributes.ts'
import { READABLE_RSA_KEY } from './pair-templates.ts'
import type { KeyWrap } from './settings.ts'
import { type Attribute, CKA, readOutTemplate } from './templates.ts'

/** Longest PKCS#8 of any spec: 2,376 bytes for RSA of 4096 bits, with room for what a token adds. */
const PKCS8_BYTES_MAX = 4064
/** A private key tells its own length: clause ENV-10. */
const UNTOLD_LENGTH = 0

/** Handles of a master key version. */
export interface SealingKeys {
  readonly enc: Handle
  readonly wrap: Handle
}

/** Mode W1: C_WrapKey with AES-GCM. */
export function sealPrivateKeyByWrapping(
  token: LaneToken,
  { wrap }: SealingKeys,
  key: Handle,
  aad: Buffer,
): Sealed {
  return gcmWrapPrivateKey(token, wrap, key, PKCS8_BYTES_MAX, aad)
}

/** Mode W2: key wrap hides the key from this process, AES-GCM over it binds the AAD. */
export function sealWrappedPrivateKey(
  token: LaneToken,
  { enc, wrap }: SealingKeys,
  key: Handle,
  aad: Buffer,
): Sealed {
  const { mechanism, format } = requireKeyWrap(token)
  const wrapped = wrapKey(token, mechanism, wrap, key, PKCS8_BYTES_MAX)
  const payload = encodeWrappedPayload(format, UNTOLD_LENGTH, wrapped)
  return gcmSeal(token, enc, freshIv(token), payload, aad)
}

function requireKeyWrap({ capabilities }: LaneToken): KeyWrap {
  if (capabilities.keyWrap) return capabilities.keyWrap
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'The token has no key wrap.' })
}

/**
 * Unwraps a private key and reads it.
 *
 * @param wrapped - As the key wrap made it.
 * @returns PKCS#8 in DER as the token writes it; the caller zeroes it.
 * @throws What the token answered; {@link TokenRefusal} `CIPHERTEXT_INVALID` when it is no private key.
 */
export function unwrapPrivateKey(token: LaneToken, keyWrap: KeyWrap, wrap: Handle, wrapped: Buffer): Buffer {
  const template = readOutTemplate(keyWrap.readOut, wrapped.length - GCM_TAG_BYTES)
  const unwrap = (as: Attribute[]) => unwrapAs(token, keyWrap.mechanism, wrap, wrapped, as)
  return unwrapToRead(token, unwrap, template, (secret) => readPkcs8(token, secret))
}

const PROOF_AAD = Buffer.from('p11kms/pair-proof/v1', 'utf8')

/**
 * What comes out of a private key that goes the way to a ciphertext and back, without the outer seal of mode W2.
 *
 * @throws {@link TokenRefusal} `UNSUPPORTED` when it does not come back.
 */
export function wrapAndUnwrap(token: LaneToken, { wrap }: SealingKeys, key: Handle): Buffer {
  const byGcm = token.capabilities.insideSealMode === 'W1'
  try {
    return byGcm ? throughGcm(token, wrap, key) : throughKeyWrap(token, wrap, key)
  } catch (error) {
    if (codeOf(error) !== 'CIPHERTEXT_INVALID') throw error
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `A private key that the token wrapped does not come back: ${describeFault(toFault(error))}.`,
    })
  }
}

function throughKeyWrap(token: LaneToken, wrap: Handle, key: Handle): Buffer {
  const keyWrap = requireKeyWrap(token)
  const wrapped = wrapKey(token, keyWrap.mechanism, wrap, key, PKCS8_BYTES_MAX)
  return unwrapPrivateKey(token, keyWrap, wrap, wrapped)
}

function throughGcm(token: LaneToken, wrap: Handle, key: Handle): Buffer {
  const sealed = gcmWrapPrivateKey(token, wrap, key, PKCS8_BYTES_MAX, PROOF_AAD)
  const template = readOutTemplate(token.capabilities.gcmReadOut, sealed.bytes.length - GCM_TAG_BYTES)
  const unwrap = (as: Attribute[]) => gcmUnwrapAs(token, wrap, sealed, PROOF_AAD, as)
  return unwrapToRead(token, unwrap, template, (secret) => readPkcs8(token, secret))
}

/**
 * Unwraps as a secret and reads its value, or, where the token takes no secret so long (NSS, past 384 bytes), as an RSA key
 * whose numbers are read.
 *
 * @throws What the token answered to the first.
 */
export function unwrapToRead(
  token: LaneToken,
  unwrap: (template: Attribute[]) => Handle,
  template: Attribute[],
  read: (secret: Handle) => Buffer,
): Buffer {
  try {
    return useSecret(token, unwrap(template), read)
  } catch (error) {
    if (!isUnsupported(error)) throw error
    try {
      return useSecret(token, unwrap([...READABLE_RSA_KEY]), (key) => readRsaPrivateKey(token, key))
    } catch {
      throw error
    }
  }
}

function readPkcs8(token: LaneToken, secret: Handle): Buffer {
  const [attribute] = token.p11.C_GetAttributeValue(token.session, secret, [{ type: CKA.VALUE }])
  const value = attribute?.value as Buffer
  try {
    const pkcs8 = cutPkcs8(value)
    if (pkcs8) return Buffer.from(pkcs8)
    throw new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason: 'What was unwrapped is no private key.' })
  } finally {
    value.fill(0)
  }
}

/** Whether the token, or our own check of what it made, says that it cannot do something rather than that it is broken. */
export function isUnsupported(error: unknown): boolean {
  return codeOf(error) === 'UNSUPPORTED'
}

function codeOf(error: unknown): RefusalFault['code'] {
  const fault = toFault(error)
  return fault.kind === 'refusal' ? fault.code : ruleOf(fault.name).code
}
