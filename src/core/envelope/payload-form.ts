import type { Sealed, SealMode } from '../ports/crypto-provider.ts'

/**
 * What the caller was given, or would have been given, as the plaintext of a payload: the bytes themselves, a private
 * key as PKCS#8 in DER or PEM, the base64 text of the bytes, or bytes that are a text to whoever sealed them. An API whose
 * plaintexts are strings gives the last two as they are, and everything else in base64.
 */
export type Presentation = 'raw' | 'base64' | 'text' | PrivateKeyPresentation

/** How the keys of a pair are written: DER, or the PEM text of it. */
export type PrivateKeyPresentation = 'pkcs8-der' | 'pkcs8-pem'

/** How a payload was sealed and what it presents as: one byte of each ciphertext blob, authenticated. */
export interface PayloadForm {
  readonly mode: SealMode
  readonly presentation: Presentation
}

/** What a ciphertext blob says, whatever its layout. */
export interface Envelope {
  readonly form: PayloadForm
  /** UUID, lower case. */
  readonly keyVersionId: string
  readonly sealed: Sealed
  /** 12 bytes that the caller wants for the IV: bound to the payload, which is sealed with a fresh one. Alibaba's layouts alone. */
  readonly chosenIv?: Buffer | undefined
}

/** High four bits: the seal mode. Clause ENV-3. */
const MODES = ['W0', 'W1', 'W2'] as const satisfies readonly SealMode[]

/** Low four bits: the presentation. Clause ENV-3. */
const PRESENTATIONS = [
  'raw',
  'pkcs8-der',
  'pkcs8-pem',
  'base64',
  'text',
] as const satisfies readonly Presentation[]

/** The byte that stands for `form`. */
export function encodePayloadForm(form: PayloadForm): number {
  return (MODES.indexOf(form.mode) << 4) | PRESENTATIONS.indexOf(form.presentation)
}

/** Inverse of {@link encodePayloadForm}; `undefined` for a byte that it never gives. */
export function parsePayloadForm(byte: number): PayloadForm | undefined {
  const mode = MODES[byte >> 4]
  const presentation = PRESENTATIONS[byte & 0x0f]
  return mode && presentation ? { mode, presentation } : undefined
}
