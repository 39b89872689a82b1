import type { Sealed as SealedPayload } from '../../core/ports/crypto-provider.ts'
import { TokenRefusal } from './errors.ts'
import type { LaneToken } from './lane-token.ts'
import {
  GCM_IV_BYTES,
  GCM_IV_BYTES_MAX,
  GCM_OUTPUT_SLACK_BYTES,
  GCM_TAG_BYTES,
  gcm,
  type Sealed,
} from './mechanisms.ts'
import type { Handle } from './module.ts'

/**
 * C_EncryptInit and C_Encrypt with AES-256-GCM.
 *
 * @param iv - 12 random bytes of the token. A token that chooses its own writes it over them.
 * @param plaintext - 1 byte or more; SoftHSM refuses none.
 */
export function gcmSeal(token: LaneToken, key: Handle, iv: Buffer, plaintext: Buffer, aad: Buffer): Sealed {
  const { p11, session } = token
  const output = Buffer.allocUnsafe(plaintext.length + GCM_TAG_BYTES + GCM_OUTPUT_SLACK_BYTES)
  token.beginOperation()
  p11.C_EncryptInit(session, gcm(iv, aad), key)
  const bytes = p11.C_Encrypt(session, plaintext, output)
  token.endOperation()
  if (bytes.length !== plaintext.length + GCM_TAG_BYTES) {
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `AES-GCM made ${bytes.length} bytes of ${plaintext.length}: not a ciphertext and a 16-byte tag.`,
    })
  }
  return { iv, bytes }
}

/**
 * C_DecryptInit and C_Decrypt with AES-256-GCM.
 *
 * @param sealed - Of the form that {@link isWellFormed} asks for.
 * @returns The plaintext in a buffer of its own that the caller zeroes.
 */
export function gcmOpen(token: LaneToken, key: Handle, sealed: Sealed, aad: Buffer): Buffer {
  const { p11, session } = token
  const output = Buffer.alloc(sealed.bytes.length + GCM_OUTPUT_SLACK_BYTES)
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

/** 12 bytes of the token's generator. */
export function randomIv(token: LaneToken): Buffer {
  return token.p11.C_GenerateRandom(token.session, Buffer.allocUnsafe(GCM_IV_BYTES))
}

/** Whether a seal could have made it. Asked before the token is: SoftHSM takes an IV of no bytes. */
export function isWellFormed({ iv, ciphertext, tag }: SealedPayload): boolean {
  const ivOk = iv.length >= GCM_IV_BYTES && iv.length <= GCM_IV_BYTES_MAX
  return ivOk && ciphertext.length > 0 && tag.length === GCM_TAG_BYTES
}
