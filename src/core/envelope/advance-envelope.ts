import { encodeOpenApiEnvelope, ivOfOpenApiBlob, parseOpenApiEnvelope } from './openapi-envelope.ts'
import type { Envelope } from './payload-form.ts'

/**
 * Opens a blob of the `Advance…` operations of Alibaba Cloud's KMS Instance API: `$`, format 0 and no padding, AES_GCM. What follows is
 * an envelope of the OpenAPI, which Alibaba's SDKs cut off and put on. Clause AVE-1.
 */
const ADVANCE_PREFIX = Buffer.from('240002', 'hex')

export function encodeAdvanceEnvelope(envelope: Envelope): Buffer {
  return Buffer.concat([ADVANCE_PREFIX, encodeOpenApiEnvelope(envelope)])
}

/** Inverse of {@link encodeAdvanceEnvelope}; `undefined` for any bytes that it never gives. Reads untrusted bytes. */
export function parseAdvanceEnvelope(blob: Buffer): Envelope | undefined {
  const opens = blob.subarray(0, ADVANCE_PREFIX.length).equals(ADVANCE_PREFIX)
  return opens ? parseOpenApiEnvelope(blob.subarray(ADVANCE_PREFIX.length)) : undefined
}

/** Whether bytes have the form of such a blob: with a key version in its place, so that no other ciphertext does by chance. */
export function isAdvanceBlob(blob: Buffer): boolean {
  return parseAdvanceEnvelope(blob) !== undefined
}

/** The IV that callers are told of a blob of our own. */
export function ivOfAdvanceBlob(blob: Buffer): Buffer {
  return ivOfOpenApiBlob(blob.subarray(ADVANCE_PREFIX.length))
}
