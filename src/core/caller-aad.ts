import { hash } from 'node:crypto'
import { EMPTY_CONTEXT, type EncryptionContext, encodeEncryptionContext } from './encryption-context.ts'

/**
 * What a caller binds to a ciphertext as additional authenticated data: an encryption context, or bytes of its own, which
 * the Alibaba Cloud KMS instance API takes (`Aad`, at most 8192 bytes; the façade has refused more).
 */
export type CallerAad =
  | { readonly kind: 'context'; readonly context: EncryptionContext }
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | ChosenIv

/** Before what else is bound, 12 bytes that the caller wants for the IV; Alibaba's layouts alone have it. Clause CTX-8. */
export interface ChosenIv {
  readonly kind: 'chosenIv'
  readonly iv: Buffer
  readonly aad: CallerAad
}

/** An encryption context, which may be absent. */
export function contextAad(context: EncryptionContext = EMPTY_CONTEXT): CallerAad {
  return { kind: 'context', context }
}

/** What an operation is told that a caller binds. */
export interface AadInput {
  readonly encryptionContext?: EncryptionContext | undefined
  /** In place of an encryption context. */
  readonly aad?: CallerAad | undefined
}

export function callerAadOf({ aad, encryptionContext }: AadInput): CallerAad {
  return aad ?? contextAad(encryptionContext)
}

/** Goes on from the kinds of core/encryption-context.ts: none is 0, an encryption context is 1. */
const BYTES_KIND = 0x02
const CHOSEN_IV_KIND = 0x03

/** The canonical bytes of what a caller binds, in a native envelope. Clauses CTX-1 to CTX-6. */
export function encodeCallerAad(aad: CallerAad): Buffer {
  if (aad.kind === 'chosenIv') return chosenIvAad(aad.iv, encodeCallerAad(aad.aad))
  if (aad.kind === 'context') return encodeEncryptionContext(aad.context)
  if (aad.bytes.length === 0) return encodeEncryptionContext(EMPTY_CONTEXT)
  return Buffer.concat([Buffer.of(BYTES_KIND), aad.bytes])
}

/**
 * The canonical bytes of what a caller binds, in one of Alibaba's layouts. Alibaba's SDKs hand the instance API a digest for an
 * encryption context, and a ciphertext of either API opens through the other with the same one; a context whose digest
 * another one would share keeps the form of its own. Clause CTX-7.
 */
export function encodeAlibabaCallerAad(aad: CallerAad): Buffer {
  if (aad.kind === 'chosenIv') return chosenIvAad(aad.iv, encodeAlibabaCallerAad(aad.aad))
  const encoded = encodeCallerAad(aad)
  if (aad.kind === 'bytes' || aad.context.size === 0 || !isPlain(aad.context)) return encoded
  return Buffer.concat([Buffer.of(BYTES_KIND), contextDigest(aad.context)])
}

/** The IV has one length, so that what follows it is told apart. */
function chosenIvAad(iv: Buffer, aad: Buffer): Buffer {
  return Buffer.concat([Buffer.of(CHOSEN_IV_KIND), iv, aad])
}

/** Whether the joined pairs can be told apart again: each ends at `&` and has its name before the first `=`. */
function isPlain(context: EncryptionContext): boolean {
  return [...context].every(([name, value]) => !/[=&]/.test(name) && !value.includes('&'))
}

/** SHA-256 of `name=value` pairs, sorted by the bytes of their names and joined by `&` (the SDKs of the KMS instance API). */
function contextDigest(context: EncryptionContext): Buffer {
  const pairs = [...context].map(([name, value]) => [Buffer.from(name), `${name}=${value}`] as const)
  const sorted = pairs.toSorted(([a], [b]) => Buffer.compare(a, b))
  return hash('sha256', sorted.map(([, pair]) => pair).join('&'), 'buffer')
}
