import { isAdvanceBlob } from '../../../../core/envelope/advance-envelope.ts'
import { isSymmetric } from '../../../../core/key-spec.ts'
import type { OpenedPayload } from '../../../../core/ops/seal-payload.ts'
import { invalidParameter } from '../fault.ts'
import {
  AES_GCM,
  isOaep,
  missing,
  requireGcm,
  requireKeyId,
  requireNoPadding,
  requirePlaintext,
  toCallerAad,
  toChosenIv,
} from '../members.ts'
import type { Message } from '../messages.ts'
import {
  forSymmetricKey,
  type InstanceCall,
  type InstanceOperation,
  instanceOperation,
} from '../operation.ts'
import { type Family, SEAL_STYLES, sealedFields } from '../sealed.ts'

/** Longest ciphertext of any layout. Bytes. */
const BLOB_BYTES_MAX = 8320
/** What asymmetric keys encrypt with where nothing is said. */
const OAEP_DEFAULT = 'RSAES_OAEP_SHA_256'
const NO_IV = Buffer.alloc(0)

/** The operations on data: KMS Instance API, one section per name. */
export const DATA_OPERATIONS = {
  Encrypt: instanceOperation({
    request: 'EncryptRequest',
    answer: 'EncryptResponse',
    handle: async (call, message) => {
      const oaep = await oaepOf(call, message)
      return oaep === undefined ? encrypt(call, message, 'plain') : encryptRsa(call, message, oaep)
    },
  }),

  AdvanceEncrypt: instanceOperation({
    request: 'AdvanceEncryptRequest',
    answer: 'AdvanceEncryptResponse',
    handle: async (call, message) => {
      const { fields, keyVersionId } = await forSymmetricKey(call, encrypt(call, message, 'advance'))
      return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
    },
  }),

  Decrypt: instanceOperation({
    request: 'DecryptRequest',
    answer: 'DecryptResponse',
    secret: 'Plaintext',
    handle: async (call, message) => {
      const blob = requireCiphertext(message)
      const oaep = message.KeyId === '' ? undefined : await oaepOf(call, message)
      if (oaep === undefined) return opened(await openDetached(call, message), AES_GCM)
      const key = requireKeyId(message.KeyId)
      const aad = toCallerAad(message.Aad)
      const { kms, context, keyVersionId: versionId } = call
      return opened(await kms.decrypt(context, { key, versionId, blob, aad, algorithm: oaep }), oaep)
    },
  }),

  AdvanceDecrypt: instanceOperation({
    request: 'AdvanceDecryptRequest',
    answer: 'AdvanceDecryptResponse',
    secret: 'Plaintext',
    handle: async (call, message) => {
      requireCiphertext(message)
      const payload = await forSymmetricKey(call, openAny(call, message))
      const { fields, keyVersionId } = opened(payload, AES_GCM)
      return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
    },
  }),
} as const satisfies Readonly<Record<string, InstanceOperation>>

/** The algorithm where it is one of asymmetric keys, the named key's own where none is named; `undefined` for AES-GCM. */
async function oaepOf(
  { kms, context }: InstanceCall,
  { Algorithm: algorithm, KeyId }: Pick<Message<'EncryptRequest'>, 'Algorithm' | 'KeyId'>,
): Promise<string | undefined> {
  if (algorithm !== '') return isOaep(algorithm) ? algorithm : undefined
  const key = await kms.describeKey(context, requireKeyId(KeyId))
  return isSymmetric(key.spec) ? undefined : OAEP_DEFAULT
}

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

/** With the public key; what would go beside the ciphertext in AES-GCM is refused. */
async function encryptRsa(
  { kms, context, keyVersionId: versionId }: InstanceCall,
  message: Message<'EncryptRequest'>,
  algorithm: string,
) {
  if (message.Iv.length > 0) throw invalidParameter()
  requireNoPadding(message.PaddingMode)
  const { blob, key, version } = await kms.encrypt(context, {
    key: requireKeyId(message.KeyId),
    versionId,
    plaintext: requirePlaintext(message.Plaintext),
    aad: toCallerAad(message.Aad),
    algorithm,
  })
  const fields = { KeyId: key.keyId, CiphertextBlob: blob, Iv: NO_IV, Algorithm: algorithm, PaddingMode: '' }
  return { fields, keyVersionId: version.versionId }
}

function requireCiphertext(message: Message<'DecryptRequest'>): Buffer {
  requireNoPadding(message.PaddingMode)
  if (!isOaep(message.Algorithm)) requireGcm(message.Algorithm)
  if (message.CiphertextBlob.length === 0) throw missing('CiphertextBlob')
  if (message.CiphertextBlob.length > BLOB_BYTES_MAX) throw invalidParameter()
  return message.CiphertextBlob
}

/** A blob that says all about itself, of whatever API; or, with a key and an IV, one of the operations that are not `Advance…`. */
function openAny(call: InstanceCall, message: Message<'DecryptRequest'>): Promise<OpenedPayload> {
  const { kms, context } = call
  requireGcm(message.Algorithm)
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

function opened({ plaintext, key, version }: OpenedPayload, algorithm: string) {
  const fields = { KeyId: key.keyId, Plaintext: plaintext, Algorithm: algorithm, PaddingMode: '' }
  return { fields, keyVersionId: version.versionId }
}
