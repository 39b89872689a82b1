import { type EncryptionContext, encodeEncryptionContext } from '../encryption-context.ts'
import { encodeNativeEnvelope, nativeAad, parseNativeEnvelope } from '../envelope/native-envelope.ts'
import type { PayloadForm } from '../envelope/payload-form.ts'
import { present } from '../envelope/present.ts'
import { ciphertextInvalid, KmsError } from '../errors.ts'
import { isVisible, requirePrimaryVersion, requireState, requireVersion, tokenRef } from '../find-key.ts'
import type { KeyVersion, MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { CallOptions, SealMode } from '../ports/crypto-provider.ts'

/** A ciphertext blob and what sealed it. */
export interface SealedPayload {
  readonly blob: Buffer
  readonly key: MasterKey
  readonly version: KeyVersion
}

/** What a ciphertext blob held, and what it was sealed with. The receiver zeroes `plaintext`. */
export interface OpenedPayload {
  readonly plaintext: Buffer
  readonly key: MasterKey
  readonly version: KeyVersion
}

function rawForm(mode: SealMode): PayloadForm {
  return { mode, presentation: 'raw' }
}

/** How provider calls of this operation are bounded and timed. */
export function callOptions(context: CallContext): CallOptions {
  return { deadlineAt: context.deadlineAt, timings: context.trail.timings }
}

/** Seals bytes of the host under the primary version of an enabled key. */
export async function sealBytes(
  deps: KmsDeps,
  context: CallContext,
  key: MasterKey,
  plaintext: Buffer,
  encryptionContext: EncryptionContext,
): Promise<SealedPayload> {
  const version = requirePrimaryVersion(key)
  const form = rawForm('W0')
  const aad = nativeAad(form, version.versionId, encodeEncryptionContext(encryptionContext))
  const sealed = await deps.provider.seal(tokenRef(key, version), plaintext, aad, callOptions(context))
  return { blob: encodeNativeEnvelope({ form, keyVersionId: version.versionId, sealed }), key, version }
}

/** Draws a data key in the token and seals it; the plaintext comes along, and the receiver zeroes it. */
export async function sealRandomBytes(
  deps: KmsDeps,
  context: CallContext,
  key: MasterKey,
  lengthBytes: number,
  encryptionContext: EncryptionContext,
): Promise<SealedPayload & { readonly plaintext: Buffer }> {
  const version = requirePrimaryVersion(key)
  const form = rawForm('W0')
  const aad = nativeAad(form, version.versionId, encodeEncryptionContext(encryptionContext))
  const sealed = await deps.provider.sealRandom(
    tokenRef(key, version),
    lengthBytes,
    aad,
    callOptions(context),
  )
  const blob = encodeNativeEnvelope({ form, keyVersionId: version.versionId, sealed })
  return { blob, key, version, plaintext: sealed.plaintext }
}

/** Makes and seals a data key inside the token; the trail says so where it passed through host memory instead. */
export async function sealRandomInside(
  deps: KmsDeps,
  context: CallContext,
  key: MasterKey,
  lengthBytes: number,
  encryptionContext: EncryptionContext,
): Promise<SealedPayload> {
  const version = requirePrimaryVersion(key)
  const callerAad = encodeEncryptionContext(encryptionContext)
  const sealed = await deps.provider.sealRandomInside(
    tokenRef(key, version),
    lengthBytes,
    (mode) => nativeAad(rawForm(mode), version.versionId, callerAad),
    callOptions(context),
  )
  if (sealed.hostMemory) context.trail.hostMemory = true
  const blob = encodeNativeEnvelope({ form: rawForm(sealed.mode), keyVersionId: version.versionId, sealed })
  return { blob, key, version }
}

/** A blob, with the key that it names resolved. Nothing of it is authenticated yet. */
export interface ResolvedBlob {
  readonly key: MasterKey
  readonly open: () => Promise<OpenedPayload>
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
  encryptionContext: EncryptionContext,
): Promise<ResolvedBlob> {
  const callerAad = encodeEncryptionContext(encryptionContext)
  const envelope = parseNativeEnvelope(blob)
  if (!envelope) throw ciphertextInvalid()
  const { form, keyVersionId, sealed } = envelope
  const { known, key } = await deps.directory.getKeyByVersion(context.principal.region, keyVersionId)
  if (!known) throw ciphertextInvalid()
  if (!key || key.accountId !== context.principal.accountId || !isVisible(key.state)) throw inaccessible()
  context.trail.keyId = key.keyId
  context.trail.token = key.token
  const open = async (): Promise<OpenedPayload> => {
    requireState(key, 'Enabled')
    const version = requireVersion(key, keyVersionId)
    const aad = nativeAad(form, keyVersionId, callerAad)
    const payload = await deps.provider.open(
      tokenRef(key, version),
      form.mode,
      sealed,
      aad,
      callOptions(context),
    )
    return { plaintext: present(form.presentation, payload), key, version }
  }
  return { key, open }
}

function inaccessible(): KmsError<'CIPHERTEXT_KEY_INACCESSIBLE'> {
  return new KmsError(
    'CIPHERTEXT_KEY_INACCESSIBLE',
    'The ciphertext refers to a key that does not exist, does not exist in this region, or that you may not access.',
    {},
  )
}
