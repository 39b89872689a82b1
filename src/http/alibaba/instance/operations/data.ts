import { isAdvanceBlob } from '../../../../core/envelope/advance-envelope.ts'
import type { OpenedPayload } from '../../../../core/ops/seal-payload.ts'
import { invalidParameter } from '../fault.ts'
import {
  AES_GCM,
  missing,
  requireGcm,
  requireKeyId,
  requireNoPadding,
  requirePlaintext,
  toCallerAad,
  toChosenIv,
} from '../members.ts'
import type { Message } from '../messages.ts'
import { type InstanceCall, type InstanceOperation, instanceOperation } from '../operation.ts'
import { type Family, SEAL_STYLES, sealedFields } from '../sealed.ts'

/** Longest ciphertext of any layout. Bytes. */
const BLOB_BYTES_MAX = 8320

/** The operations on data: KMS Instance API, one section per name. */
export const DATA_OPERATIONS = {
  Encrypt: instanceOperation({
    request: 'EncryptRequest',
    answer: 'EncryptResponse',
    handle: (call, message) => encrypt(call, message, 'plain'),
  }),

  AdvanceEncrypt: instanceOperation({
    request: 'AdvanceEncryptRequest',
    answer: 'AdvanceEncryptResponse',
    handle: async (call, message) => {
      const { fields, keyVersionId } = await encrypt(call, message, 'advance')
      return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
    },
  }),

  Decrypt: instanceOperation({
    request: 'DecryptRequest',
    answer: 'DecryptResponse',
    secret: 'Plaintext',
    handle: async (call, message) => {
      requireCiphertext(message)
      return opened(await openDetached(call, message))
    },
  }),

  AdvanceDecrypt: instanceOperation({
    request: 'AdvanceDecryptRequest',
    answer: 'AdvanceDecryptResponse',
    secret: 'Plaintext',
    handle: async (call, message) => {
      requireCiphertext(message)
      const { fields, keyVersionId } = opened(await openAny(call, message))
      return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
    },
  }),
} as const satisfies Readonly<Record<string, InstanceOperation>>

async function encrypt({ kms, context }: InstanceCall, message: Message<'EncryptRequest'>, family: Family) {
  requireGcm(message.Algorithm)
  requireNoPadding(message.PaddingMode)
  const sealed = await kms.encrypt(context, {
    key: requireKeyId(message.KeyId),
    plaintext: requirePlaintext(message.Plaintext),
    aad: toCallerAad(message.Aad),
    // The OpenAPI, which gives texts, gives back what is one as it is.
    style: { ...SEAL_STYLES[family], presentation: 'text', chosenIv: toChosenIv(message.Iv) },
  })
  const { blob, iv } = sealedFields(family, sealed)
  const fields = {
    KeyId: sealed.key.keyId,
    CiphertextBlob: blob,
    Iv: iv,
    Algorithm: AES_GCM,
    PaddingMode: message.PaddingMode,
  }
  return { fields, keyVersionId: sealed.version.versionId }
}

function requireCiphertext(message: Message<'DecryptRequest'>): void {
  requireGcm(message.Algorithm)
  requireNoPadding(message.PaddingMode)
  if (message.CiphertextBlob.length === 0) throw missing('CiphertextBlob')
  if (message.CiphertextBlob.length > BLOB_BYTES_MAX) throw invalidParameter()
}

/** A blob that says all about itself, of whatever API; or, with a key and an IV, one of the operations that are not `Advance…`. */
function openAny(call: InstanceCall, message: Message<'DecryptRequest'>): Promise<OpenedPayload> {
  const { kms, context } = call
  const detached = message.KeyId !== '' && message.Iv.length > 0 && !isAdvanceBlob(message.CiphertextBlob)
  if (detached) return openDetached(call, message)
  const key = message.KeyId === '' ? undefined : requireKeyId(message.KeyId)
  return kms.decrypt(context, { blob: message.CiphertextBlob, aad: toCallerAad(message.Aad), key })
}

async function openDetached(call: InstanceCall, message: Message<'DecryptRequest'>): Promise<OpenedPayload> {
  // SDKs that rewrite ciphertexts of the OpenAPI know the version and no key.
  const known = message.KeyId === '' && call.keyVersionId !== undefined
  const key = known ? undefined : requireKeyId(message.KeyId)
  if (message.Iv.length === 0) throw missing('Iv')
  return call.kms.decryptDetached(call.context, {
    key,
    versionId: call.keyVersionId,
    iv: message.Iv,
    blob: message.CiphertextBlob,
    aad: toCallerAad(message.Aad),
  })
}

function opened({ plaintext, key, version }: OpenedPayload) {
  const fields = { KeyId: key.keyId, Plaintext: plaintext, Algorithm: AES_GCM, PaddingMode: '' }
  return { fields, keyVersionId: version.versionId }
}
