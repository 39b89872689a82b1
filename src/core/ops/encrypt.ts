import { isUuid } from '../../lib/bytes.ts'
import { InvariantError, invariant } from '../../lib/invariant.ts'
import { authorize } from '../authorize/authorize.ts'
import { type AadInput, type CallerAad, callerAadOf, contextAad, encodeCallerAad } from '../caller-aad.ts'
import { checksPassed } from '../dry-run.ts'
import type { EncryptionContext } from '../encryption-context.ts'
import { attach } from '../envelope/detached-envelope.ts'
import type { EnvelopeLayout } from '../envelope/envelope.ts'
import type { Presentation } from '../envelope/payload-form.ts'
import { ciphertextInvalid, KmsError } from '../errors.ts'
import { requireKey, requireNamedVersion, requireState, requireVersion } from '../find-key.ts'
import type { KeyIdentifier, KeyVersion, MasterKey } from '../key.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import { requireAlgorithm, requireUsage } from '../usage.ts'
import { decryptRsa, encryptRsa, oaepOf, refuseAad } from './rsa-cipher.ts'
import {
  initialVersion,
  type OpenedPayload,
  resolveBlob,
  type SealedPayload,
  type SealStyle,
  sealBytes,
} from './seal-payload.ts'

export interface EncryptInput extends AadInput {
  readonly key: KeyIdentifier
  /** 1 to 8192 bytes; the caller zeroes it. */
  readonly plaintext: Buffer
  /** In the native envelope, and bytes, when absent. */
  readonly style?: SealStyle | undefined
  /** By its name in AWS KMS; that of symmetric keys when absent. */
  readonly algorithm?: string | undefined
  /** Of a key pair alone; its primary version when absent. */
  readonly versionId?: string | undefined
}

export interface DecryptInput extends AadInput {
  /** Of any layout; absent from a dry run that asks of `key` alone. */
  readonly blob: Buffer | undefined
  /** The key that the ciphertext must belong to, where the caller names one. Ciphertexts of RSA name none themselves. */
  readonly key?: KeyIdentifier | undefined
  readonly algorithm?: string | undefined
  /** Of a key pair alone, whose ciphertexts do not say it; its primary version when absent. */
  readonly versionId?: string | undefined
}

/** A ciphertext whose IV and key version are beside it. */
export interface DecryptDetachedInput {
  /** May be absent where the version is named. */
  readonly key?: KeyIdentifier | undefined
  /** The initial version of the key when absent. */
  readonly versionId?: string | undefined
  readonly iv: Buffer
  readonly blob: Buffer
  readonly aad: CallerAad
}

export interface ReEncryptInput {
  /** As in {@link DecryptInput}. */
  readonly blob: Buffer | undefined
  readonly sourceEncryptionContext?: EncryptionContext | undefined
  readonly sourceKey?: KeyIdentifier | undefined
  readonly sourceAlgorithm?: string | undefined
  /** As in {@link DecryptInput}. */
  readonly sourceVersionId?: string | undefined
  readonly destinationKey: KeyIdentifier
  readonly destinationEncryptionContext?: EncryptionContext | undefined
  /** The native one when absent. */
  readonly destinationLayout?: EnvelopeLayout | undefined
  readonly destinationAlgorithm?: string | undefined
}

export interface ReEncrypted {
  readonly source: Pick<OpenedPayload, 'key' | 'version'>
  readonly destination: SealedPayload
}

const SYMMETRIC = 'SYMMETRIC_DEFAULT'

export async function encrypt(
  deps: KmsDeps,
  context: UsingContext,
  input: EncryptInput,
): Promise<SealedPayload> {
  const key = await requireKey(deps, context, 'Encrypt', input.key)
  requireUsage(key, 'Encrypt')
  const onChecked = () => checksPassed(context, 'Encrypt', key)
  const { algorithm = SYMMETRIC, versionId, plaintext, style } = input
  return sealAs(deps, context, { key, algorithm, versionId }, plaintext, callerAadOf(input), onChecked, style)
}

interface SealTarget {
  readonly key: MasterKey
  readonly algorithm: string
  readonly versionId?: string | undefined
}

/** @throws {@link KmsError} `KEY_ALGORITHM_INVALID`; `KEY_VERSION_NOT_FOUND` */
async function sealAs(
  deps: KmsDeps,
  context: CallContext,
  { key, algorithm, versionId }: SealTarget,
  plaintext: Buffer,
  aad: CallerAad,
  onChecked: () => void,
  style: SealStyle | undefined,
): Promise<SealedPayload> {
  const oaep = oaepOf(requireAlgorithm(key, 'encryption', algorithm))
  if (oaep === undefined) return sealBytes(deps, context, key, plaintext, aad, onChecked, style)
  refuseAad(oaep, aad)
  const version = requireNamedVersion(key, versionId)
  return encryptRsa(deps, context, { key, version }, oaep, plaintext, onChecked)
}

export async function decrypt(
  deps: KmsDeps,
  context: UsingContext,
  input: DecryptInput,
): Promise<OpenedPayload> {
  return openAs(deps, context, 'Decrypt', input, (key) => checksPassed(context, 'Decrypt', key))
}

export async function decryptDetached(
  deps: KmsDeps,
  context: UsingContext,
  { key: identifier, versionId: wanted, iv, blob, aad }: DecryptDetachedInput,
): Promise<OpenedPayload> {
  const key = identifier && (await requireKey(deps, context, 'Decrypt', identifier))
  const versionId = key ? requireDetachedVersion(key, wanted).versionId : wanted
  if (versionId === undefined || !isUuid(versionId)) throw ciphertextInvalid()
  const attached = { blob: attach(versionId, { iv, blob }), aad }
  return openAs(deps, context, 'Decrypt', attached, (found) => checksPassed(context, 'Decrypt', found))
}

function requireDetachedVersion(key: MasterKey, versionId: string | undefined): KeyVersion {
  return versionId === undefined ? initialVersion(key) : requireVersion(key, versionId)
}

export async function reEncrypt(
  deps: KmsDeps,
  context: UsingContext,
  input: ReEncryptInput,
): Promise<ReEncrypted> {
  // The destination is settled first: a request that cannot succeed brings no plaintext out of the token.
  const destinationKey = await requireKey(deps, context, 'ReEncryptTo', input.destinationKey)
  requireState(destinationKey, 'Enabled')
  requireUsage(destinationKey, 'ReEncrypt')
  const { destinationAlgorithm = SYMMETRIC } = input
  const destinationOaep = oaepOf(requireAlgorithm(destinationKey, 'encryption', destinationAlgorithm))
  const destinationAad = contextAad(input.destinationEncryptionContext)
  if (destinationOaep) refuseAad(destinationOaep, destinationAad)
  encodeCallerAad(destinationAad)
  const source = {
    blob: input.blob,
    encryptionContext: input.sourceEncryptionContext,
    key: input.sourceKey,
    algorithm: input.sourceAlgorithm,
    versionId: input.sourceVersionId,
  }
  const opened = await openAs(deps, context, 'ReEncryptFrom', source, (key) =>
    checksPassed(context, 'ReEncrypt', key, destinationKey),
  )
  try {
    const destination = await sealAs(
      deps,
      context,
      { key: destinationKey, algorithm: destinationAlgorithm },
      opened.plaintext,
      destinationAad,
      () => undefined,
      { layout: input.destinationLayout ?? 'native', presentation: resealed(opened.presentation) },
    )
    return { source: { key: opened.key, version: opened.version }, destination }
  } finally {
    opened.plaintext.fill(0)
  }
}

/** What was presented is what is sealed anew: a text stays a text, and everything else is bytes from now on. */
function resealed(presentation: Presentation): 'raw' | 'text' {
  return presentation === 'base64' || presentation === 'text' ? 'text' : 'raw'
}

async function openAs(
  deps: KmsDeps,
  context: CallContext,
  action: 'Decrypt' | 'ReEncryptFrom',
  input: DecryptInput,
  onChecked: (key: MasterKey) => void,
): Promise<OpenedPayload> {
  const operation = action === 'Decrypt' ? 'Decrypt' : 'ReEncrypt'
  const { algorithm = SYMMETRIC, blob } = input
  const callerAad = callerAadOf(input)
  const expected = input.key && (await requireKey(deps, context, action, input.key))
  if (expected) {
    requireUsage(expected, operation)
    const oaep = oaepOf(requireAlgorithm(expected, 'encryption', algorithm))
    if (oaep) refuseAad(oaep, callerAad)
    if (oaep && blob) {
      const version = requireNamedVersion(expected, input.versionId)
      return decryptRsa(deps, context, { key: expected, version }, oaep, blob, () => onChecked(expected))
    }
  }
  if (!blob) return endWithoutBlob(callerAad, expected, onChecked)
  // A ciphertext of RSA does not say whose it is.
  if (algorithm !== SYMMETRIC) throw ciphertextInvalid()
  const resolved = await resolveBlob(deps, context, blob, callerAad)
  if (expected && expected.keyId !== resolved.key.keyId) {
    throw new KmsError('KEY_MISMATCH', 'The ciphertext was not made under the key that the request names.', {
      keyId: expected.keyId,
    })
  }
  authorize(context.principal, action, resolved.key)
  requireUsage(resolved.key, operation)
  return resolved.open(() => onChecked(resolved.key))
}

/** A dry run that asks of the key alone. */
function endWithoutBlob(
  callerAad: CallerAad,
  key: MasterKey | undefined,
  onChecked: (key: MasterKey) => void,
): never {
  invariant(key, 'the façade asks for a key where there is no ciphertext')
  encodeCallerAad(callerAad)
  requireState(key, 'Enabled')
  onChecked(key)
  throw new InvariantError('a ciphertext is only absent from a dry run')
}
