import { parseBase64 } from '../../lib/bytes.ts'
import { isKmsError } from '../errors.ts'
import type { CallOptions, CryptoProvider, MasterKeyRef, Sealed } from '../ports/crypto-provider.ts'

/**
 * A text of no meaning, sealed under imported material when it first came. The same material opens it and no other does, so that
 * material can be recognized for ever without anything being kept that tells of it: no digest, which could be searched for.
 */
const TEXT = Buffer.from('p11kms/imported-material/v1', 'utf8')
const AAD = Buffer.from('p11kms/imported-material/canary/v1\0', 'utf8')
const TAG_BYTES = 16

/** @returns IV and ciphertext with tag, as base64 around a dot. */
export async function sealCanary(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  options: CallOptions,
): Promise<string> {
  const { iv, ciphertext, tag } = await provider.seal(ref, TEXT, AAD, options)
  return `${iv.toString('base64')}.${Buffer.concat([ciphertext, tag]).toString('base64')}`
}

/** Whether the material of `ref` is the one that `canary` was sealed under. */
export async function openCanary(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  canary: string,
  options: CallOptions,
): Promise<boolean> {
  const sealed = parseCanary(canary)
  if (!sealed) return false
  try {
    return (await provider.open(ref, 'W0', sealed, AAD, options)).equals(TEXT)
  } catch (error) {
    if (isKmsError(error, 'CIPHERTEXT_INVALID')) return false
    throw error
  }
}

function parseCanary(canary: string): Sealed | undefined {
  const [iv, bytes] = canary.split('.').map(parseBase64)
  if (!iv || !bytes || bytes.length <= TAG_BYTES) return undefined
  return { iv, ciphertext: bytes.subarray(0, -TAG_BYTES), tag: bytes.subarray(-TAG_BYTES) }
}
