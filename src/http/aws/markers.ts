import { hash, timingSafeEqual } from 'node:crypto'
import { AwsFault } from './fault.ts'
import type { ArnScope } from './wire.ts'

/** Pagination marker: base64url of a tag and the name that the next page follows. */
const TAG = { bytes: 16 } as const

/**
 * The marker of the page after `after`. It is bound to the listing, the account and the region. It is no secret and
 * no permission: forging one only chooses where in the caller's own listing a page starts.
 *
 * @param listing - Operation, and what narrows it, such as the key id.
 */
export function encodeMarker(scope: ArnScope, listing: string, after: string): string {
  const name = Buffer.from(after, 'utf8')
  return Buffer.concat([tagOf(scope, listing, name), name]).toString('base64url')
}

/**
 * Inverse of {@link encodeMarker}. Reads untrusted text.
 *
 * @throws {@link AwsFault} `InvalidMarkerException` for a marker of another listing, account or region, or of no one.
 */
export function parseMarker(scope: ArnScope, listing: string, marker: string): string {
  const bytes = Buffer.from(marker, 'base64url')
  const tag = bytes.subarray(0, TAG.bytes)
  const name = bytes.subarray(TAG.bytes)
  const canonical = bytes.toString('base64url') === marker && name.length > 0
  if (canonical && timingSafeEqual(tag, tagOf(scope, listing, name))) return name.toString('utf8')
  throw new AwsFault('InvalidMarkerException', 'The marker is not valid for this request.')
}

function tagOf({ partition, accountId, region }: ArnScope, listing: string, name: Buffer): Buffer {
  const bound = Buffer.from(`p11kms/aws/marker\0${partition}\0${accountId}\0${region}\0${listing}\0`, 'utf8')
  return hash('sha256', Buffer.concat([bound, name]), 'buffer').subarray(0, TAG.bytes)
}
