import { createCipheriv, createDecipheriv } from 'node:crypto'
import { CKM_AES_CBC_PAD, CKM_AES_GCM } from '../../../src/providers/pkcs11/mechanisms.ts'
import type { KeyWrapFormat } from '../../../src/providers/pkcs11/settings.ts'

/** A wrap mechanism of the scripted library, with the parameter as pkcs11js is given it. Unwrapping throws what does not fit. */
export interface ScriptedWrap {
  readonly wrap: (key: Buffer, value: Buffer, parameter: unknown) => Buffer
  readonly unwrap: (key: Buffer, wrapped: Buffer, parameter: unknown) => Buffer
}

const TAG_BYTES = 16
const IV_5649 = Buffer.from('a65959a6', 'hex')
const IV_3394 = Buffer.alloc(8, 0xa6)

const crypt = (cipher: { update(bytes: Buffer): Buffer; final(): Buffer }, bytes: Buffer) =>
  Buffer.concat([cipher.update(bytes), cipher.final()])

/** RFC 3394 over PKCS#7 padding to `block` bytes. */
function padded(block: number): ScriptedWrap {
  return {
    wrap: (key, value) => {
      const paddingBytes = block - (value.length % block)
      const text = Buffer.concat([value, Buffer.alloc(paddingBytes, paddingBytes)])
      return crypt(createCipheriv('id-aes256-wrap', key, IV_3394), text)
    },
    unwrap: (key, wrapped) => {
      const text = crypt(createDecipheriv('id-aes256-wrap', key, IV_3394), wrapped)
      const paddingBytes = text.at(-1) ?? 0
      if (paddingBytes < 1 || paddingBytes > block) throw new Error('bad padding')
      return text.subarray(0, -paddingBytes)
    },
  }
}

/** The formats by their standards, in OpenSSL's words. */
export const WRAPS: Readonly<Record<KeyWrapFormat, ScriptedWrap>> = {
  rfc5649: {
    wrap: (key, value) => crypt(createCipheriv('id-aes256-wrap-pad', key, IV_5649), value),
    unwrap: (key, wrapped) => crypt(createDecipheriv('id-aes256-wrap-pad', key, IV_5649), wrapped),
  },
  'pkcs7-8': padded(8),
  'pkcs7-16': padded(16),
  'cbc-pad': {
    wrap: (key, value, iv) => crypt(createCipheriv('aes-256-cbc', key, iv as Buffer), value),
    unwrap: (key, wrapped, iv) => crypt(createDecipheriv('aes-256-cbc', key, iv as Buffer), wrapped),
  },
}

interface GcmParameter {
  readonly iv: Buffer
  readonly aad: Buffer
}

/** Mode W1, as openCryptoki 3.27 has it. */
export const GCM_WRAP: ScriptedWrap = {
  wrap: (key, value, parameter) => {
    const { iv, aad } = parameter as GcmParameter
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(aad)
    return Buffer.concat([cipher.update(value), cipher.final(), cipher.getAuthTag()])
  },
  unwrap: (key, wrapped, parameter) => {
    const { iv, aad } = parameter as GcmParameter
    const tagAt = wrapped.length - TAG_BYTES
    const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(aad)
    return crypt(decipher.setAuthTag(wrapped.subarray(tagAt)), wrapped.subarray(0, tagAt))
  },
}

/** Mechanisms of a token by number. `cbc-pad` and `gcm` have numbers of their own. */
export function wrapsOf(
  behind: Readonly<Record<number, KeyWrapFormat>>,
  more: { readonly gcm?: boolean; readonly cbc?: boolean } = {},
): Readonly<Record<number, ScriptedWrap>> {
  const numbered = Object.entries(behind).map(([number, format]) => [number, WRAPS[format]])
  return {
    ...Object.fromEntries(numbered),
    ...(more.gcm && { [CKM_AES_GCM]: GCM_WRAP }),
    ...(more.cbc && { [CKM_AES_CBC_PAD]: WRAPS['cbc-pad'] }),
  }
}
