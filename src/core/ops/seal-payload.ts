import { invariant } from '../../lib/invariant.ts'
import { type CallerAad, encodeCallerAad } from '../caller-aad.ts'
import { checksPassed } from '../dry-run.ts'
import { ENVELOPE_LAYOUTS, type EnvelopeLayout, parseEnvelope } from '../envelope/envelope.ts'
import type { Presentation } from '../envelope/payload-form.ts'
import { present } from '../envelope/present.ts'
import { ciphertextInvalid, KmsError } from '../errors.ts'
import { isVisible, requirePrimaryVersion, requireState, requireVersion, tokenRef } from '../find-key.ts'
import { requireGrantTokens } from '../grant-tokens.ts'
import type { KeyVersion, MasterKey } from '../key.ts'
import { isSymmetric } from '../key-spec.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import type { CallOptions } from '../ports/crypto-provider.ts'

/** A ciphertext blob and what sealed it. */
export interface SealedPayload {
  readonly blob: Buffer
  readonly key: MasterKey
  readonly version: KeyVersion
}

/** What a ciphertext blob held, and what it was sealed with. The receiver zeroes `plaintext`. */
export interface OpenedPayload {
  readonly plaintext: Buffer
  readonly presentation: Presentation
  readonly key: MasterKey
  readonly version: KeyVersion
}

/** How a payload is sealed, besides under which key. */
export interface SealStyle {
  readonly layout: EnvelopeLayout
  /** What Decrypt gives back; private keys have theirs from the operations that make them. */
  readonly presentation: 'raw' | 'base64' | 'text'
  /** Which version of the key seals; the primary one when absent. */
  readonly version?: 'initial' | 'primary'
  /** 12 bytes that the caller wants for the IV (Alibaba's layouts alone): bound, and told as the IV; a fresh one encrypts. */
  readonly chosenIv?: Buffer | undefined
}

/** Bytes in the native envelope: what the AWS KMS API asks for. */
export const NATIVE_STYLE: SealStyle = { layout: 'native', presentation: 'raw' }

/** How provider calls of this operation are bounded and timed. */
export function callOptions(context: CallContext): CallOptions {
  return { deadlineAt: context.deadlineAt, timings: context.trail.timings }
}

/**
 * The version of an enabled key that new payloads are sealed with.
 *
 * @throws {@link KmsError} `KEY_STATE_INVALID` unless the key is enabled.
 */
export function requireSealVersion(key: MasterKey, role: SealStyle['version']): KeyVersion {
  const primary = requirePrimaryVersion(key)
  return role === 'initial' ? initialVersion(key) : primary
}

export function initialVersion({ versions: [initial] }: MasterKey): KeyVersion {
  invariant(initial, 'a key has a version')
  return initial
}

function bind(callerAad: CallerAad, chosenIv: Buffer | undefined): CallerAad {
  return chosenIv ? { kind: 'chosenIv', iv: chosenIv, aad: callerAad } : callerAad
}

/**
 * Seals bytes of the host under the primary version of an enabled key.
 *
 * @param onChecked - Called when nothing but the token can refuse any more.
 */
export async function sealBytes(
  deps: KmsDeps,
  context: CallContext,
  key: MasterKey,
  plaintext: Buffer,
  callerAad: CallerAad,
  onChecked: () => void,
  { layout: name, presentation, version: role, chosenIv }: SealStyle = NATIVE_STYLE,
): Promise<SealedPayload> {
  const layout = ENVELOPE_LAYOUTS[name]
  const version = requireSealVersion(key, role)
  const keyVersionId = version.versionId
  const form = { mode: 'W0', presentation } as const
  const aad = layout.aad(form, keyVersionId, bind(callerAad, chosenIv))
  onChecked()
  const sealed = await deps.provider.seal(tokenRef(key, version), plaintext, aad, callOptions(context))
  return { blob: layout.encode({ form, keyVersionId, sealed, chosenIv }), key, version }
}

/** Draws a data key in the token and seals it; its bytes come along, and the receiver zeroes them. */
export async function sealRandomBytes(
  deps: KmsDeps,
  context: UsingContext,
  key: MasterKey,
  lengthBytes: number,
  callerAad: CallerAad,
  { layout: name, presentation, version: role }: SealStyle = NATIVE_STYLE,
): Promise<SealedPayload & { readonly plaintext: Buffer }> {
  const layout = ENVELOPE_LAYOUTS[name]
  const version = requireSealVersion(key, role)
  const keyVersionId = version.versionId
  const form = { mode: 'W0', presentation } as const
  const aad = layout.aad(form, keyVersionId, callerAad)
  checksPassed(context, 'GenerateDataKey', key)
  const ref = tokenRef(key, version)
  const sealed = await deps.provider.sealRandom(ref, lengthBytes, aad, callOptions(context))
  return {
    blob: layout.encode({ form, keyVersionId, sealed }),
    key,
    version,
    plaintext: present(presentation, sealed.plaintext),
  }
}

/** Makes and seals a data key inside the token; the trail says so where it passed through host memory instead. */
export async function sealRandomInside(
  deps: KmsDeps,
  context: UsingContext,
  key: MasterKey,
  lengthBytes: number,
  callerAad: CallerAad,
  { layout: name, presentation }: SealStyle = NATIVE_STYLE,
): Promise<SealedPayload> {
  const layout = ENVELOPE_LAYOUTS[name]
  const version = requirePrimaryVersion(key)
  const keyVersionId = version.versionId
  // What cannot be bound is refused by the seal itself, which a dry run does not come to.
  if (context.dryRun) encodeCallerAad(callerAad)
  checksPassed(context, 'GenerateDataKeyWithoutPlaintext', key)
  const sealed = await deps.provider.sealRandomInside(
    tokenRef(key, version),
    lengthBytes,
    (mode) => layout.aad({ mode, presentation }, keyVersionId, callerAad),
    callOptions(context),
  )
  if (sealed.hostMemory) context.trail.hostMemory = true
  const form = { mode: sealed.mode, presentation }
  return { blob: layout.encode({ form, keyVersionId, sealed }), key, version }
}

/** A blob, with the key that it names resolved. Nothing of it is authenticated yet. */
export interface ResolvedBlob {
  readonly key: MasterKey
  /** @param onChecked - Called when nothing but the token can refuse any more. */
  readonly open: (onChecked: () => void) => Promise<OpenedPayload>
}

/**
 * Finds the key that a ciphertext blob names.
 *
 * @throws {@link KmsError} `CIPHERTEXT_INVALID` for bytes that are no blob of ours or that name no version that ever was;
 *   `CIPHERTEXT_KEY_INACCESSIBLE` when the key is destroyed, in another region, or another account's.
 */
export async function resolveBlob(
  deps: KmsDeps,
  context: CallContext,
  blob: Buffer,
  callerAad: CallerAad,
): Promise<ResolvedBlob> {
  const parsed = parseEnvelope(blob)
  if (!parsed) throw ciphertextInvalid()
  const { form, keyVersionId, sealed, chosenIv } = parsed.envelope
  const aad = ENVELOPE_LAYOUTS[parsed.layout].aad(form, keyVersionId, bind(callerAad, chosenIv))
  const { known, key } = await deps.directory.getKeyByVersion(context.principal.region, keyVersionId)
  if (!known) throw versionUnknown()
  if (!key || key.accountId !== context.principal.accountId || !isVisible(key.state)) throw inaccessible()
  // No other key ever made one.
  if (!isSymmetric(key.spec)) throw ciphertextInvalid()
  context.trail.keyId = key.keyId
  context.trail.token = key.token
  if (context.grantTokens) await requireGrantTokens(deps, context)
  const open = async (onChecked: () => void): Promise<OpenedPayload> => {
    requireState(key, 'Enabled')
    const version = requireVersion(key, keyVersionId)
    onChecked()
    const payload = await deps.provider.open(
      tokenRef(key, version),
      form.mode,
      sealed,
      aad,
      callOptions(context),
    )
    const { presentation } = form
    return { plaintext: present(presentation, payload), presentation, key, version }
  }
  return { key, open }
}

/** To most callers the same as any invalid ciphertext: only the details tell them apart. */
function versionUnknown(): KmsError<'CIPHERTEXT_INVALID'> {
  return new KmsError('CIPHERTEXT_INVALID', ciphertextInvalid().message, { versionUnknown: true })
}

function inaccessible(): KmsError<'CIPHERTEXT_KEY_INACCESSIBLE'> {
  return new KmsError(
    'CIPHERTEXT_KEY_INACCESSIBLE',
    'The ciphertext refers to a key that does not exist, does not exist in this region, or that you may not access.',
    {},
  )
}
