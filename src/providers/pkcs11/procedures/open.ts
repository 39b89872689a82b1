import { checkCanary, checkWrapCanary } from '../canary.ts'
import { readSecret, useSecret } from '../data-key.ts'
import { TokenRefusal } from '../errors.ts'
import { gcmOpen, gcmUnwrapAs } from '../gcm.ts'
import { SEAL_MODE_NUMBERS } from '../inside-mode.ts'
import { KEY_WRAP_FORMATS, parseWrappedPayload, unwrapKey } from '../key-wrap.ts'
import type { LaneToken } from '../lane-token.ts'
import { GCM_TAG_BYTES } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import { unwrapPrivateKey, unwrapToRead } from '../private-key-wrap.ts'
import { openProven } from '../prove-open.ts'
import { readOutTemplate } from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

/**
 * Opens a sealed payload.
 *
 * Number: one of {@link SEAL_MODE_NUMBERS}. Parts: handle of the `enc` object, handle of the `wrap` object, AAD, IV,
 * ciphertext and tag. Result: the plaintext.
 *
 * Only a payload that authenticates is told apart by what the token can do: the mode is a byte of the caller's.
 */
export const open: Procedure = (token, mode, parts) => {
  if (mode === SEAL_MODE_NUMBERS.W1) return [openByUnwrapping(token, parts)]
  const outer = openOuter(token, parts)
  if (mode !== SEAL_MODE_NUMBERS.W2) return [outer]
  try {
    return [openWrapped(token, outer, parts)]
  } finally {
    outer.fill(0)
  }
}

function openOuter(token: LaneToken, parts: readonly Buffer[]): Buffer {
  const sealed = { iv: part(parts, 3), bytes: part(parts, 4) }
  const key = part(parts, 0)
  return openProven(
    token,
    () => gcmOpen(token, key, sealed, part(parts, 2)),
    () => checkCanary(token, key),
  )
}

/** Mode W1. The value of what was unwrapped is the payload. */
function openByUnwrapping(token: LaneToken, parts: readonly Buffer[]): Buffer {
  const sealed = { iv: part(parts, 3), bytes: part(parts, 4) }
  const key = part(parts, 1)
  if (!token.capabilities.gcmWrap) {
    throw invalid(
      'The ciphertext says W1, and the token does not unwrap with CKM_AES_GCM: forged, or of another token.',
    )
  }
  const lengthBytes = sealed.bytes.length - GCM_TAG_BYTES
  const template = readOutTemplate(token.capabilities.gcmReadOut, lengthBytes)
  return openProven(
    token,
    () =>
      unwrapToRead(
        token,
        (as) => gcmUnwrapAs(token, key, sealed, part(parts, 2), as),
        template,
        (secret) => valueOf(token, secret, lengthBytes),
      ),
    () => checkWrapCanary(token, 'gcm', key),
  )
}

/** The data key inside an authentic W2 payload, by the format that it was wrapped in rather than by today's choice. */
function openWrapped(token: LaneToken, outer: Buffer, parts: readonly Buffer[]): Buffer {
  const { format, lengthBytes, wrapped } = parseWrappedPayload(outer)
  // A private key tells its own length: clause ENV-10.
  const isPrivateKey = lengthBytes === 0
  if (!format || (!isPrivateKey && wrapped.length !== KEY_WRAP_FORMATS[format].wrappedBytes(lengthBytes))) {
    throw invalid('The payload is not what any key wrap makes of a key.')
  }
  const keyWrap = token.capabilities.keyWraps.find((candidate) => candidate.format === format)
  if (!keyWrap) {
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `The token has no key wrap that opens the format ${format}.`,
      hint: 'Go back to the firmware or policy under which the data key was made; see docs/operating/tokens.md.',
    })
  }
  const key = part(parts, 1)
  const read = isPrivateKey
    ? () => unwrapPrivateKey(token, keyWrap, key, wrapped)
    : () =>
        useSecret(token, unwrapKey(token, keyWrap, key, wrapped, lengthBytes), (secret) =>
          valueOf(token, secret, lengthBytes),
        )
  return openProven(token, read, () => checkWrapCanary(token, keyWrap, key))
}

function valueOf(token: LaneToken, secret: Handle, lengthBytes: number): Buffer {
  const value = readSecret(token, secret, lengthBytes)
  if (value) return value
  throw invalid('The unwrapped key does not have the length that was sealed with it.')
}

function invalid(reason: string): TokenRefusal {
  return new TokenRefusal({ code: 'CIPHERTEXT_INVALID', reason })
}
