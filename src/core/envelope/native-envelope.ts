import { bytesToUuid, uuidToBytes } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'
import { type Envelope, encodePayloadForm, type PayloadForm, parsePayloadForm } from './payload-form.ts'

/**
 * Native envelope, format 1 (docs/spec/envelope.md). Bytes 0 to 17 are the header; the AAD repeats them.
 * The IV's length is a field because some tokens choose IVs of 16 bytes.
 */
const NATIVE_ENVELOPE_V1 = {
  format: { offset: 0, bytes: 1, value: 0x01 },
  form: { offset: 1, bytes: 1 }, //           seal mode and presentation
  keyVersionId: { offset: 2, bytes: 16 }, //  UUID, binary
  ivLength: { offset: 18, bytes: 1 }, //      12 to 16
  iv: { offset: 19, bytesMin: 12, bytesMax: 16 },
  tag: { bytes: 16 }, //                      last 16 bytes; the ciphertext stands between
} as const

const { format, form: formField, keyVersionId, ivLength, iv: ivField, tag: tagField } = NATIVE_ENVELOPE_V1

/** Longest blob that any operation takes (AWS KMS, "Decrypt", CiphertextBlob). */
export const CIPHERTEXT_BLOB_BYTES_MAX = 6144

/** Opens the AAD of every payload of ours, so that no other use of the same key can be passed off as one. Clause ENV-6. */
const AAD_DOMAIN = Buffer.from('p11kms/envelope\0', 'latin1')

/** The blob of a sealed payload: 35 bytes of header and tag, the IV, and the ciphertext. */
export function encodeNativeEnvelope(envelope: Envelope): Buffer {
  const { iv, ciphertext, tag } = envelope.sealed
  invariant(iv.length >= ivField.bytesMin && iv.length <= ivField.bytesMax, 'IV length out of range')
  invariant(tag.length === tagField.bytes, 'a tag has 16 bytes')
  return Buffer.concat([
    Buffer.of(format.value, encodePayloadForm(envelope.form)),
    uuidToBytes(envelope.keyVersionId),
    Buffer.of(iv.length),
    iv,
    ciphertext,
    tag,
  ])
}

/** Inverse of {@link encodeNativeEnvelope}; `undefined` for any bytes that it never gives. Reads untrusted bytes. */
export function parseNativeEnvelope(blob: Buffer): Envelope | undefined {
  const shortest = ivField.offset + ivField.bytesMin + 1 + tagField.bytes
  if (blob.length < shortest || blob.length > CIPHERTEXT_BLOB_BYTES_MAX) return undefined
  if (blob[format.offset] !== format.value) return undefined
  const form = parsePayloadForm(blob[formField.offset] ?? 0xff)
  const ivBytes = blob[ivLength.offset] ?? 0
  if (!form || ivBytes < ivField.bytesMin || ivBytes > ivField.bytesMax) return undefined
  const ciphertextStart = ivField.offset + ivBytes
  const tagStart = blob.length - tagField.bytes
  if (tagStart <= ciphertextStart) return undefined
  return {
    form,
    keyVersionId: bytesToUuid(blob.subarray(keyVersionId.offset, keyVersionId.offset + keyVersionId.bytes)),
    sealed: {
      iv: blob.subarray(ivField.offset, ciphertextStart),
      ciphertext: blob.subarray(ciphertextStart, tagStart),
      tag: blob.subarray(tagStart),
    },
  }
}

/** What is authenticated with a payload in a native envelope. Clause ENV-6. */
export function nativeAad(form: PayloadForm, versionId: string, callerAad: Buffer): Buffer {
  return envelopeAad(format.value, form, uuidToBytes(versionId), callerAad)
}

/**
 * Domain tag, format, form, key version id, then the caller's AAD. All but the last have fixed lengths, so the
 * concatenation is injective.
 *
 * @param versionId - 16 bytes.
 */
export function envelopeAad(
  formatByte: number,
  form: PayloadForm,
  versionId: Buffer,
  callerAad: Buffer,
): Buffer {
  return Buffer.concat([AAD_DOMAIN, Buffer.of(formatByte, encodePayloadForm(form)), versionId, callerAad])
}
