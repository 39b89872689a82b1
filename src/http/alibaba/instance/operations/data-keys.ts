import { AES_GCM, requireGcm, requireKeyId, requireLength, toCallerAad } from '../members.ts'
import type { Message } from '../messages.ts'
import {
  forSymmetricKey,
  type InstanceCall,
  type InstanceOperation,
  instanceOperation,
} from '../operation.ts'
import { type Family, SEAL_STYLES, sealedFields } from '../sealed.ts'

/** Data keys and random bytes: KMS Instance API, one section per name. */
export const DATA_KEY_OPERATIONS = {
  GenerateDataKey: instanceOperation({
    request: 'GenerateDataKeyRequest',
    answer: 'GenerateDataKeyResponse',
    secret: 'Plaintext',
    handle: (call, message) => {
      requireGcm(message.Algorithm)
      return generate(call, message, 'plain')
    },
  }),

  AdvanceGenerateDataKey: instanceOperation({
    request: 'AdvanceGenerateDataKeyRequest',
    answer: 'AdvanceGenerateDataKeyResponse',
    secret: 'Plaintext',
    handle: async (call, message) => {
      const { fields, keyVersionId } = await generate(call, message, 'advance')
      return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
    },
  }),

  GenerateRandom: instanceOperation({
    request: 'GenerateRandomRequest',
    answer: 'GenerateRandomResponse',
    secret: 'Random',
    handle: async ({ kms, context }, { Length }) => ({
      fields: { Random: await kms.generateRandom(context, requireLength('Length', Length)) },
    }),
  }),
} as const satisfies Readonly<Record<string, InstanceOperation>>

async function generate(
  call: InstanceCall,
  message: Message<'AdvanceGenerateDataKeyRequest'>,
  family: Family,
) {
  const input = {
    key: requireKeyId(message.KeyId),
    lengthBytes: requireLength('NumberOfBytes', message.NumberOfBytes),
    aad: toCallerAad(message.Aad),
    style: SEAL_STYLES[family],
  }
  const dataKey = await forSymmetricKey(call, call.kms.generateDataKey(call.context, input))
  const { blob, iv } = sealedFields(family, dataKey)
  const fields = {
    KeyId: dataKey.key.keyId,
    Iv: iv,
    Plaintext: dataKey.plaintext,
    CiphertextBlob: blob,
    Algorithm: AES_GCM,
  }
  return { fields, keyVersionId: dataKey.version.versionId }
}
