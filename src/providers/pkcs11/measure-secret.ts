import { useSecret } from './data-key.ts'
import { TokenRefusal } from './errors.ts'
import { KEY_WRAP_FORMATS, wrapKey } from './key-wrap.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { makeSessionKey } from './probe.ts'
import { valueLengthOf } from './read-back.ts'
import { unreadable } from './unwrap-material.ts'

/** Longest secret that is looked at: what RSA_4096 can hold. */
const MEASURED_BYTES_MAX = 512

/**
 * Refuses a secret of another length than `lengthBytes`. Where the token does not tell the length, the secret is wrapped again under a
 * key of nobody's, so that this process sees no byte of it: how long the wrap is tells the length to the next seven bytes.
 *
 * @param refusesShorter - Whether the token refuses to use a secret that is a byte shorter: then the caller has it use this one.
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID` for another length; `UNSUPPORTED` where all that does not tell.
 */
export function requireSecretLength(
  token: LaneToken,
  secret: Handle,
  lengthBytes: number,
  refusesShorter: boolean,
): void {
  const told = valueLengthOf(token, secret)
  if (told > 0) {
    if (told !== lengthBytes) throw wrongLength(lengthBytes)
    return
  }
  const [wrap] = token.capabilities.keyWraps
  const wrappedBytes = wrap && KEY_WRAP_FORMATS[wrap.format].wrappedBytes
  const isTold =
    wrappedBytes !== undefined &&
    wrappedBytes(lengthBytes + 1) > wrappedBytes(lengthBytes) &&
    (wrappedBytes(lengthBytes - 1) < wrappedBytes(lengthBytes) || refusesShorter)
  if (!wrap || !isTold) throw untold(lengthBytes)
  const wrapped = useSecret(token, makeSessionKey(token, token.session, 'wrap'), (wrapping) =>
    wrapKey(token, wrap.mechanism, wrapping, secret, MEASURED_BYTES_MAX),
  )
  if (wrapped.length !== wrappedBytes(lengthBytes)) throw wrongLength(lengthBytes)
}

function wrongLength(lengthBytes: number): TokenRefusal {
  return unreadable(`The material does not have ${lengthBytes} bytes.`)
}

function untold(lengthBytes: number): TokenRefusal {
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token does not tell whether what it unwraps has ${lengthBytes} bytes: neither by CKA_VALUE_LEN nor by how long its wrap is.`,
  })
}
