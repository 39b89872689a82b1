import type { Sealed as SealedPayload } from '../../core/ports/crypto-provider.ts'
import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import { GCM_IV_BYTES, GCM_IV_BYTES_MAX, GCM_TAG_BYTES, gcm, type Sealed } from './mechanisms.ts'
import type { Handle } from './module.ts'
import type { GcmIvSource, ReadOut } from './settings.ts'
import { type Attribute, readOutTemplate } from './templates.ts'

/** What goes in as IV and what comes out behind the tag, by who chooses it. Bytes. */
const IV_SOURCES: Readonly<
  Record<GcmIvSource, { readonly givenBytes: number; readonly appendedBytes: number }>
> = {
  caller: { givenBytes: GCM_IV_BYTES, appendedBytes: 0 },
  writtenBack: { givenBytes: GCM_IV_BYTES, appendedBytes: 0 },
  appended: { givenBytes: 0, appendedBytes: GCM_IV_BYTES_MAX },
}

/** Room beyond the ciphertext and the tag, whatever the token does: some ask for it before they say what they do. */
const OUTPUT_SLACK_BYTES = 16

/** The IV to give in: random bytes of the token's generator, or the room for the one that the token chooses. */
export function freshIv(token: LaneToken, source: GcmIvSource = token.capabilities.gcm.ivSource): Buffer {
  const { givenBytes } = IV_SOURCES[source]
  if (source !== 'caller') return Buffer.alloc(givenBytes)
  return token.p11.C_GenerateRandom(token.session, Buffer.allocUnsafe(givenBytes))
}

/**
 * C_EncryptInit and C_Encrypt with AES-256-GCM.
 *
 * @param iv - As {@link freshIv} makes it. A token that chooses its own writes it over these bytes.
 * @param plaintext - 1 byte or more; SoftHSM refuses none.
 */
export function gcmSeal(
  token: LaneToken,
  key: Handle,
  iv: Buffer,
  plaintext: Buffer,
  aad: Buffer,
  source: GcmIvSource = token.capabilities.gcm.ivSource,
): Sealed {
  const { p11, session } = token
  const output = Buffer.allocUnsafe(plaintext.length + GCM_TAG_BYTES + OUTPUT_SLACK_BYTES)
  token.beginOperation()
  p11.C_EncryptInit(session, gcm(iv, aad), key)
  const bytes = p11.C_Encrypt(session, plaintext, output)
  token.endOperation()
  return sealedIn(source, iv, bytes, plaintext.length)
}

/**
 * C_WrapKey with AES-256-GCM: seals a key that stays in the token (mode W1).
 *
 * @param wrapKey - Object of role `wrap`.
 * @param lengthBytes - Length of the key's value.
 */
export function gcmWrapKey(
  token: LaneToken,
  wrapKey: Handle,
  secret: Handle,
  lengthBytes: number,
  aad: Buffer,
): Sealed {
  const { ivSource } = token.capabilities.gcm
  const iv = freshIv(token)
  const output = Buffer.allocUnsafe(lengthBytes + GCM_TAG_BYTES + OUTPUT_SLACK_BYTES)
  const bytes = token.p11.C_WrapKey(token.session, gcm(iv, aad), wrapKey, secret, output)
  return sealedIn(ivSource, iv, bytes, lengthBytes)
}

/**
 * {@link gcmWrapKey} of a private key, whose length nobody outside of the token knows.
 *
 * @param lengthBytesMax - Bounds what may come out.
 */
export function gcmWrapPrivateKey(
  token: LaneToken,
  wrapKey: Handle,
  key: Handle,
  lengthBytesMax: number,
  aad: Buffer,
): Sealed {
  const { ivSource } = token.capabilities.gcm
  const iv = freshIv(token)
  const output = Buffer.allocUnsafe(lengthBytesMax + GCM_TAG_BYTES + OUTPUT_SLACK_BYTES)
  const bytes = token.p11.C_WrapKey(token.session, gcm(iv, aad), wrapKey, key, output)
  return sealedIn(ivSource, iv, bytes, bytes.length - GCM_TAG_BYTES - IV_SOURCES[ivSource].appendedBytes)
}

/** Finds the parts in what the token gave. Fails closed: a seal whose IV we do not know would never open again. */
function sealedIn(source: GcmIvSource, givenIv: Buffer, bytes: Buffer, plaintextBytes: number): Sealed {
  const { appendedBytes } = IV_SOURCES[source]
  const sealedBytes = plaintextBytes + GCM_TAG_BYTES
  if (bytes.length !== sealedBytes + appendedBytes) {
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `AES-GCM made ${bytes.length} bytes of ${plaintextBytes}; ${sealedBytes + appendedBytes} were expected.`,
    })
  }
  if (source === 'caller') return { iv: givenIv, bytes }
  const iv = appendedBytes === 0 ? givenIv : bytes.subarray(sealedBytes)
  if (iv.every((byte) => byte === 0)) {
    throw new TokenRefusal({
      code: 'TOKEN_UNAVAILABLE',
      reason: 'The token did not tell the IV that it chose.',
    })
  }
  return { iv, bytes: bytes.subarray(0, sealedBytes) }
}

/**
 * C_DecryptInit and C_Decrypt with AES-256-GCM.
 *
 * @param sealed - Of the form that {@link isWellFormed} asks for.
 * @returns The plaintext in a buffer of its own that the caller zeroes.
 */
export function gcmOpen(token: LaneToken, key: Handle, sealed: Sealed, aad: Buffer): Buffer {
  const { p11, session } = token
  const output = Buffer.alloc(sealed.bytes.length + OUTPUT_SLACK_BYTES)
  token.beginOperation()
  p11.C_DecryptInit(session, gcm(sealed.iv, aad), key)
  try {
    const plaintext = p11.C_Decrypt(session, sealed.bytes, output)
    token.endOperation()
    return plaintext
  } catch (error) {
    output.fill(0)
    throw error
  }
}

/**
 * C_UnwrapKey with AES-256-GCM, into a session object that can be read. The caller destroys it.
 *
 * @param wrapKey - Object of role `wrap`.
 */
export function gcmUnwrapKey(
  token: LaneToken,
  wrapKey: Handle,
  sealed: Sealed,
  aad: Buffer,
  readOut: ReadOut = token.capabilities.gcmReadOut,
): Handle {
  return gcmUnwrapAs(
    token,
    wrapKey,
    sealed,
    aad,
    readOutTemplate(readOut, sealed.bytes.length - GCM_TAG_BYTES),
  )
}

/** {@link gcmUnwrapKey} into an object of another kind. */
export function gcmUnwrapAs(
  token: LaneToken,
  wrapKey: Handle,
  sealed: Sealed,
  aad: Buffer,
  template: Attribute[],
): Handle {
  return token.p11.C_UnwrapKey(token.session, gcm(sealed.iv, aad), wrapKey, sealed.bytes, template)
}

/** Whether a seal could have made it. Asked before the token is: SoftHSM takes an IV of no bytes. */
export function isWellFormed({ iv, ciphertext, tag }: SealedPayload): boolean {
  const ivOk = iv.length >= GCM_IV_BYTES && iv.length <= GCM_IV_BYTES_MAX
  return ivOk && ciphertext.length > 0 && tag.length === GCM_TAG_BYTES
}
