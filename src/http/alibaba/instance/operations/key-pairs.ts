import type { SealedDataKeyPair } from '../../../../core/ops/generate-data-key-pair.ts'
import {
  AES_GCM,
  requireGcm,
  requireKeyFormat,
  requireKeyId,
  requirePairSpec,
  toCallerAad,
} from '../members.ts'
import type { Message } from '../messages.ts'
import {
  forSymmetricKey,
  type InstanceCall,
  type InstanceOperation,
  instanceOperation,
} from '../operation.ts'
import { type Family, SEAL_STYLES, sealedFields } from '../sealed.ts'

/**
 * Data key pairs, written as PKCS#8 and SubjectPublicKeyInfo in PEM or DER: KMS Instance API, one section per name. A token makes
 * one pair at a time, whoever asks: a second request meanwhile is refused at once.
 */
export const KEY_PAIR_OPERATIONS = {
  GenerateDataKeyPair: instanceOperation({
    request: 'GenerateDataKeyPairRequest',
    answer: 'GenerateDataKeyPairResponse',
    secret: 'PrivateKeyPlaintext',
    handle: (call, message) => {
      requireGcm(message.Algorithm)
      return withPlaintext(call, message, 'plain')
    },
  }),

  GenerateDataKeyPairWithoutPlaintext: instanceOperation({
    request: 'GenerateDataKeyPairWithoutPlaintextRequest',
    answer: 'GenerateDataKeyPairWithoutPlaintextResponse',
    handle: (call, message) => {
      requireGcm(message.Algorithm)
      return withoutPlaintext(call, message, 'plain')
    },
  }),

  AdvanceGenerateDataKeyPair: instanceOperation({
    request: 'AdvanceGenerateDataKeyPairRequest',
    answer: 'AdvanceGenerateDataKeyPairResponse',
    secret: 'PrivateKeyPlaintext',
    handle: async (call, message) => withVersion(await withPlaintext(call, message, 'advance')),
  }),

  AdvanceGenerateDataKeyPairWithoutPlaintext: instanceOperation({
    request: 'AdvanceGenerateDataKeyPairWithoutPlaintextRequest',
    answer: 'AdvanceGenerateDataKeyPairWithoutPlaintextResponse',
    handle: async (call, message) => withVersion(await withoutPlaintext(call, message, 'advance')),
  }),
} as const satisfies Readonly<Record<string, InstanceOperation>>

type PairRequest = Message<'AdvanceGenerateDataKeyPairRequest'>

async function withPlaintext(call: InstanceCall, message: PairRequest, family: Family) {
  const work = call.kms.generateDataKeyPair(call.context, pairInput(message, family))
  const pair = await forSymmetricKey(call, work)
  const { fields, keyVersionId } = describe(message, family, pair)
  return { fields: { ...fields, PrivateKeyPlaintext: pair.plaintext }, keyVersionId }
}

async function withoutPlaintext(call: InstanceCall, message: PairRequest, family: Family) {
  const work = call.kms.generateDataKeyPairWithoutPlaintext(call.context, pairInput(message, family))
  return describe(message, family, await forSymmetricKey(call, work))
}

function pairInput(message: PairRequest, family: Family) {
  return {
    key: requireKeyId(message.KeyId),
    spec: requirePairSpec(message.KeyPairSpec),
    presentation: requireKeyFormat(message.KeyFormat),
    aad: toCallerAad(message.Aad),
    style: SEAL_STYLES[family],
    waitMs: 0,
  }
}

function describe({ KeyPairSpec }: PairRequest, family: Family, pair: SealedDataKeyPair) {
  const { blob, iv } = sealedFields(family, pair)
  const fields = {
    KeyId: pair.key.keyId,
    Iv: iv,
    KeyPairSpec,
    PrivateKeyCiphertextBlob: blob,
    PublicKey: pair.publicKey,
    Algorithm: AES_GCM,
  }
  return { fields, keyVersionId: pair.version.versionId }
}

function withVersion<Fields extends object>(answer: {
  readonly fields: Fields
  readonly keyVersionId: string
}) {
  const { fields, keyVersionId } = answer
  return { fields: { ...fields, KeyVersionId: keyVersionId }, keyVersionId }
}
