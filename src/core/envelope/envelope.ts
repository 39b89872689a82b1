import { type CallerAad, encodeAlibabaCallerAad, encodeCallerAad } from '../caller-aad.ts'
import { encodeAdvanceEnvelope, parseAdvanceEnvelope } from './advance-envelope.ts'
import { encodeNativeEnvelope, nativeAad, parseNativeEnvelope } from './native-envelope.ts'
import { alibabaAad, encodeOpenApiEnvelope, parseOpenApiEnvelope } from './openapi-envelope.ts'
import type { Envelope, PayloadForm } from './payload-form.ts'

/** How a layout is written, read and authenticated. */
interface EnvelopeLayoutRow {
  encode(envelope: Envelope): Buffer
  /** Reads untrusted bytes; `undefined` for any that `encode` never gives. */
  parse(blob: Buffer): Envelope | undefined
  /** What is authenticated with the payload. */
  aad(form: PayloadForm, keyVersionId: string, callerAad: CallerAad): Buffer
}

/**
 * The layouts of ciphertext blobs. They open with different bytes (clause ENV-5), so that a blob of one API opens through any
 * other under the same key.
 */
export const ENVELOPE_LAYOUTS = {
  native: {
    encode: encodeNativeEnvelope,
    parse: parseNativeEnvelope,
    aad: (form, keyVersionId, callerAad) => nativeAad(form, keyVersionId, encodeCallerAad(callerAad)),
  },
  openapi: {
    encode: encodeOpenApiEnvelope,
    parse: parseOpenApiEnvelope,
    aad: alibabaLayoutAad,
  },
  advance: { encode: encodeAdvanceEnvelope, parse: parseAdvanceEnvelope, aad: alibabaLayoutAad },
} as const satisfies Readonly<Record<string, EnvelopeLayoutRow>>

function alibabaLayoutAad(form: PayloadForm, keyVersionId: string, callerAad: CallerAad): Buffer {
  return alibabaAad(form, keyVersionId, encodeAlibabaCallerAad(callerAad))
}

export type EnvelopeLayout = keyof typeof ENVELOPE_LAYOUTS

/** A blob of whatever layout; `undefined` for bytes of none. Reads untrusted bytes. */
export function parseEnvelope(
  blob: Buffer,
): { readonly layout: EnvelopeLayout; readonly envelope: Envelope } | undefined {
  for (const layout of LAYOUT_NAMES) {
    const envelope = ENVELOPE_LAYOUTS[layout].parse(blob)
    if (envelope) return { layout, envelope }
  }
  return undefined
}

const LAYOUT_NAMES = Object.keys(ENVELOPE_LAYOUTS) as readonly EnvelopeLayout[]
