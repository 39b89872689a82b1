import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { parseBase64 } from '../../lib/bytes.ts'
import { invariant } from '../../lib/invariant.ts'
import { isKmsError } from '../errors.ts'
import { algorithmsOf, type MacAlgorithm } from '../key-spec.ts'
import type { CallOptions, CryptoProvider, MasterKeyRef, Sealed } from '../ports/crypto-provider.ts'

/**
 * What imported material is recognized by when it comes again, made when it first came: of an AES key a text of no meaning, sealed
 * under it, which the same material opens and no other does; of a MAC key the MAC of such a text with a number that is drawn each time,
 * so that two keys of one material do not show it; of a key pair the digest of its public key. Nothing is kept that tells of a secret:
 * no digest of one, which could be searched for among many at once.
 */
const TEXT = Buffer.from('p11kms/imported-material/v1', 'utf8')
const AAD = Buffer.from('p11kms/imported-material/canary/v1\0', 'utf8')
const MAC_TEXT = Buffer.from('p11kms/imported-material/mac/v1\0', 'utf8')
const TAG_BYTES = 16
const NONCE_BYTES = 16

/** Material in a token. */
export interface TokenMaterial {
  readonly ref: MasterKeyRef
  /** SubjectPublicKeyInfo, of a key pair. */
  readonly publicKey?: Buffer | undefined
}

/** @returns Of an AES key IV and ciphertext with tag, of a MAC key number and MAC, as base64 around a dot; of a key pair base64. */
export async function sealCanary(
  provider: CryptoProvider,
  { ref, publicKey }: TokenMaterial,
  options: CallOptions,
): Promise<string> {
  if (publicKey) return digestOf(publicKey).toString('base64')
  if (ref.spec !== undefined) {
    const nonce = randomBytes(NONCE_BYTES)
    return pairOfTexts(nonce, await macOf(provider, ref, nonce, options))
  }
  const { iv, ciphertext, tag } = await provider.seal(ref, TEXT, AAD, options)
  return pairOfTexts(iv, Buffer.concat([ciphertext, tag]))
}

/** Whether material is the one that `canary` was made of. */
export async function openCanary(
  provider: CryptoProvider,
  { ref, publicKey }: TokenMaterial,
  canary: string,
  options: CallOptions,
): Promise<boolean> {
  const [first, second] = canary.split('.').map(parseBase64)
  if (!first) return false
  if (publicKey) return areEqual(digestOf(publicKey), first)
  if (!second) return false
  if (ref.spec !== undefined) return areEqual(await macOf(provider, ref, first, options), second)
  return opens(provider, ref, { iv: first, ...cutTag(second) }, options)
}

async function opens(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  sealed: Sealed,
  options: CallOptions,
): Promise<boolean> {
  if (sealed.ciphertext.length === 0) return false
  try {
    return (await provider.open(ref, 'W0', sealed, AAD, options)).equals(TEXT)
  } catch (error) {
    if (isKmsError(error, 'CIPHERTEXT_INVALID')) return false
    throw error
  }
}

function macOf(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  nonce: Buffer,
  options: CallOptions,
): Promise<Buffer> {
  return provider.mac(ref, macAlgorithmOf(ref), Buffer.concat([MAC_TEXT, nonce]), options)
}

function macAlgorithmOf({ spec, usage }: MasterKeyRef): MacAlgorithm {
  const [algorithm] = spec !== undefined && usage !== undefined ? algorithmsOf({ spec, usage }).mac : []
  invariant(algorithm, 'material without a public key is of an AES or a MAC key')
  return algorithm
}

function digestOf(publicKey: Buffer): Buffer {
  return hash('sha256', publicKey, 'buffer')
}

function areEqual(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

function pairOfTexts(first: Buffer, second: Buffer): string {
  return `${first.toString('base64')}.${second.toString('base64')}`
}

function cutTag(bytes: Buffer): Pick<Sealed, 'ciphertext' | 'tag'> {
  return { ciphertext: bytes.subarray(0, -TAG_BYTES), tag: bytes.subarray(-TAG_BYTES) }
}
