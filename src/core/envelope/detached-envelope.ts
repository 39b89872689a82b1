import { invariant } from '../../lib/invariant.ts'
import { ivOfOpenApiBlob, KEY_VERSION_ID_BYTES } from './openapi-envelope.ts'

/** A ciphertext whose IV and key version travel beside it, as the instance API has it outside of its `Advance…` operations. */
export interface DetachedBlob {
  readonly iv: Buffer
  /** What of an envelope of the OpenAPI is behind the IV. Clause DTE-1. */
  readonly blob: Buffer
}

/** Takes an envelope of the OpenAPI apart; the key version is what it names. */
export function detach(openApiBlob: Buffer): DetachedBlob {
  const iv = ivOfOpenApiBlob(openApiBlob)
  return { iv, blob: openApiBlob.subarray(KEY_VERSION_ID_BYTES + iv.length) }
}

/**
 * Inverse of {@link detach}. Where the IV ends and the rest begins is told by the last byte alone: SDKs that rewrite a
 * ciphertext of the OpenAPI take its first 12 bytes for the IV, however long it is.
 *
 * @param keyVersionId - UUID, lower case.
 */
export function attach(keyVersionId: string, { iv, blob }: DetachedBlob): Buffer {
  const id = Buffer.from(keyVersionId, 'latin1')
  invariant(id.length === KEY_VERSION_ID_BYTES, 'a key version id is a UUID')
  return Buffer.concat([id, iv, blob])
}
