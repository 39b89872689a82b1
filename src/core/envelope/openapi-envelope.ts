import { isUuid, uuidToBytes } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'
import { envelopeAad } from './native-envelope.ts'
import { type Envelope, encodePayloadForm, type PayloadForm, parsePayloadForm } from './payload-form.ts'

/**
 * Envelope of the Alibaba Cloud KMS OpenAPI (docs/spec/envelope.md, clauses OAE-1 to OAE-5). Bytes 0 to 47 are where
 * Alibaba's own SDKs look for the version and the IV; the rest is opaque to them.
 */
const OPENAPI_ENVELOPE = {
  keyVersionId: { offset: 0, bytes: 36 }, //  UUID, ASCII
  iv: { offset: 36, bytes: 12, longBytes: 16 },
  tag: { bytes: 16 }, //                      before the trailer; the ciphertext stands between
  trailer: { bytes: 1 }, //                   last byte: length of the IV, seal mode, presentation
} as const

const { keyVersionId: idField, iv: ivField, tag: tagField, trailer } = OPENAPI_ENVELOPE

/**
 * Bit 7 of the trailer: the IV has 16 bytes. Bit 6: before it stands one of 12 bytes that the caller chose, which is bound to the
 * ciphertext and encrypts nothing. Bits 5 to 0 are the form byte of clause ENV-3.
 */
const LONG_IV = 0x80
const CHOSEN_IV = 0x40
const FORM_MASK = 0x3f

export const KEY_VERSION_ID_BYTES = idField.bytes
const CHOSEN_IV_BYTES = 12

/** Longest blob of this layout. Bytes. */
const OPENAPI_BLOB_BYTES_MAX = 8_320

/** Stands where a native envelope has its format byte in what is authenticated: all of Alibaba's layouts share it. */
const ALIBABA_FORMAT = 0x02

/** The blob of a sealed payload: 53 bytes around the IV and the ciphertext. */
export function encodeOpenApiEnvelope({ form, keyVersionId, sealed, chosenIv }: Envelope): Buffer {
  const { iv, ciphertext, tag } = sealed
  invariant(iv.length === ivField.bytes || iv.length === ivField.longBytes, 'an IV has 12 or 16 bytes')
  invariant(isUuid(keyVersionId), 'a key version id is a UUID')
  invariant(tag.length === tagField.bytes, 'a tag has 16 bytes')
  invariant(chosenIv === undefined || chosenIv.length === CHOSEN_IV_BYTES, 'a chosen IV has 12 bytes')
  const flags = (iv.length === ivField.longBytes ? LONG_IV : 0) | (chosenIv ? CHOSEN_IV : 0)
  const last = Buffer.of(flags | encodePayloadForm(form))
  const head = [Buffer.from(keyVersionId, 'latin1'), ...(chosenIv ? [chosenIv] : [])]
  return Buffer.concat([...head, iv, ciphertext, tag, last])
}

/** Inverse of {@link encodeOpenApiEnvelope}; `undefined` for any bytes that it never gives. Reads untrusted bytes. */
export function parseOpenApiEnvelope(blob: Buffer): Envelope | undefined {
  if (blob.length > OPENAPI_BLOB_BYTES_MAX) return undefined
  const last = blob.at(-1) ?? 0xff
  const form = parsePayloadForm(last & FORM_MASK)
  if (!form) return undefined
  const ivStart = ivField.offset + (last & CHOSEN_IV ? CHOSEN_IV_BYTES : 0)
  const ciphertextStart = ivStart + (last & LONG_IV ? ivField.longBytes : ivField.bytes)
  const tagEnd = blob.length - trailer.bytes
  const tagStart = tagEnd - tagField.bytes
  if (tagStart <= ciphertextStart) return undefined
  const keyVersionId = blob.toString('latin1', idField.offset, idField.offset + idField.bytes)
  if (!isUuid(keyVersionId)) return undefined
  return {
    form,
    keyVersionId,
    sealed: {
      iv: blob.subarray(ivStart, ciphertextStart),
      ciphertext: blob.subarray(ciphertextStart, tagStart),
      tag: blob.subarray(tagStart, tagEnd),
    },
    ...(last & CHOSEN_IV && { chosenIv: blob.subarray(ivField.offset, ivStart) }),
  }
}

/** The IV that callers are told of a blob of our own: the one that they chose, or the one that encrypts. */
export function ivOfOpenApiBlob(blob: Buffer): Buffer {
  const envelope = parseOpenApiEnvelope(blob)
  invariant(envelope, 'a blob of our own is one')
  return envelope.chosenIv ?? envelope.sealed.iv
}

/** What is authenticated with a payload in any of Alibaba's layouts, which convert into each other. Clause OAE-4. */
export function alibabaAad(form: PayloadForm, keyVersionId: string, callerAad: Buffer): Buffer {
  return envelopeAad(ALIBABA_FORMAT, form, uuidToBytes(keyVersionId), callerAad)
}
