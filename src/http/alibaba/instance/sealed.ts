import { ivOfAdvanceBlob } from '../../../core/envelope/advance-envelope.ts'
import { detach } from '../../../core/envelope/detached-envelope.ts'
import type { SealedPayload, SealStyle } from '../../../core/ops/seal-payload.ts'

/**
 * The two families of operations that seal. Those named `Advance…` use the primary version and give a blob that says all that
 * opening it takes; the others use the initial version and give the IV beside the blob and the version in a header.
 */
export type Family = 'plain' | 'advance'

export const SEAL_STYLES = {
  plain: { layout: 'openapi', presentation: 'raw', version: 'initial' },
  advance: { layout: 'advance', presentation: 'raw', version: 'primary' },
} as const satisfies Readonly<Record<Family, SealStyle>>

/** What an answer says of a sealed payload. */
export function sealedFields(
  family: Family,
  sealed: SealedPayload,
): { readonly blob: Buffer; readonly iv: Buffer } {
  if (family === 'plain') return detach(sealed.blob)
  return { blob: sealed.blob, iv: ivOfAdvanceBlob(sealed.blob) }
}
