import { invariant } from '../../lib/invariant.ts'
import { canonicalPkcs8 } from '../pkcs8.ts'
import type { Presentation, PrivateKeyPresentation } from './payload-form.ts'

/**
 * The bytes that a caller gets for an opened payload: the same for the same payload for ever. Clauses PK-1, PK-5.
 *
 * @param payload - Taken over: it is zeroed where it is not what is returned.
 * @returns The caller zeroes it.
 */
export function present(presentation: Presentation, payload: Buffer): Buffer {
  if (presentation === 'raw' || presentation === 'text') return payload
  if (presentation === 'base64') return base64Text(payload)
  let key: Buffer | undefined
  try {
    key = canonicalPkcs8(payload)
    invariant(key, 'a payload that is presented as a private key is one')
    return presentation === 'pkcs8-pem' ? pem('PRIVATE KEY', key) : key
  } finally {
    payload.fill(0)
    if (presentation === 'pkcs8-pem') key?.fill(0)
  }
}

function base64Text(payload: Buffer): Buffer {
  try {
    return Buffer.from(payload.toString('base64'), 'latin1')
  } finally {
    payload.fill(0)
  }
}

/** A public key, written as its private key is. `spki`: SubjectPublicKeyInfo in DER (RFC 5280). */
export function presentPublicKey(presentation: PrivateKeyPresentation, spki: Buffer): Buffer {
  return presentation === 'pkcs8-pem' ? pem('PUBLIC KEY', spki) : spki
}

const LINE_CHARACTERS = 64

/** RFC 7468, "Textual Encodings of PKIX, PKCS, and CMS Structures": lines of 64 characters, each with a line feed. */
function pem(label: string, der: Buffer): Buffer {
  const text = der.toString('base64')
  const lines = Array.from({ length: Math.ceil(text.length / LINE_CHARACTERS) }, (_, index) =>
    text.slice(index * LINE_CHARACTERS, (index + 1) * LINE_CHARACTERS),
  )
  return Buffer.from(
    [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n'),
    'latin1',
  )
}
