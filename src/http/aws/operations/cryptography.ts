import { z } from 'zod'
import { isSymmetric } from '../../../core/key-spec.ts'
import { keyMaterialId } from '../../../core/material-id.ts'
import type { SealedPayload } from '../../../core/ops/seal-payload.ts'
import { validation } from '../fault.ts'
import { parseKeyIdentifier } from '../key-names.ts'
import {
  blob,
  dataKeySpec,
  decodeBlob,
  dryRun,
  dryRunModifiers,
  encryptionAlgorithm,
  encryptionContext,
  grantTokens,
  keyId,
  numberOfBytes,
  toEncryptionContext,
} from '../members.ts'
import { type AwsCall, type AwsOperation, awsOperation } from '../operation.ts'
import { type ArnScope, giveAway, keyArn, toBase64 } from '../wire.ts'

const SYMMETRIC = 'SYMMETRIC_DEFAULT'
const DATA_KEY_BYTES = { AES_128: 16, AES_256: 32 } as const

const plaintext = blob(1, 4096)
const ciphertextBlob = blob(1, 6144)
const anything = z.unknown().optional()

const dataKeyBody = z.object({
  KeyId: keyId,
  EncryptionContext: encryptionContext.optional(),
  NumberOfBytes: numberOfBytes.optional(),
  KeySpec: dataKeySpec.optional(),
  GrantTokens: grantTokens.optional(),
  DryRun: dryRun.optional(),
})

const decryptBody = z.object({
  CiphertextBlob: ciphertextBlob,
  KeyId: keyId.optional(),
  EncryptionContext: encryptionContext.optional(),
  EncryptionAlgorithm: encryptionAlgorithm.optional(),
  GrantTokens: grantTokens.optional(),
  Recipient: anything,
  DryRun: dryRun.optional(),
  DryRunModifiers: dryRunModifiers.optional(),
})
const decryptDryBody = decryptBody.extend({ CiphertextBlob: ciphertextBlob.optional(), KeyId: keyId })
type DecryptBody = z.output<typeof decryptBody> | z.output<typeof decryptDryBody>

const reEncryptBody = z.object({
  CiphertextBlob: ciphertextBlob,
  SourceKeyId: keyId.optional(),
  SourceEncryptionContext: encryptionContext.optional(),
  SourceEncryptionAlgorithm: encryptionAlgorithm.optional(),
  DestinationKeyId: keyId,
  DestinationEncryptionContext: encryptionContext.optional(),
  DestinationEncryptionAlgorithm: encryptionAlgorithm.optional(),
  GrantTokens: grantTokens.optional(),
  DryRun: dryRun.optional(),
  DryRunModifiers: dryRunModifiers.optional(),
})
const reEncryptDryBody = reEncryptBody.extend({
  CiphertextBlob: ciphertextBlob.optional(),
  SourceKeyId: keyId,
})
type ReEncryptBody = z.output<typeof reEncryptBody> | z.output<typeof reEncryptDryBody>

/** The modifiers count in a dry run alone. */
function ignoresCiphertext({ DryRun, DryRunModifiers }: Readonly<Record<string, unknown>>): boolean {
  return DryRun === true && Array.isArray(DryRunModifiers) && DryRunModifiers.includes('IGNORE_CIPHERTEXT')
}

/** `undefined` where a dry run asks of the key alone: what is given for a ciphertext is not looked into then. */
function blobOf(body: DecryptBody | ReEncryptBody): Buffer | undefined {
  if (body.CiphertextBlob === undefined || ignoresCiphertext(body)) return undefined
  return decodeBlob(body.CiphertextBlob)
}

/** The operations on data: AWS KMS API Reference, one section per name. */
export const CRYPTOGRAPHIC_OPERATIONS = {
  Encrypt: awsOperation({
    body: z.object({
      KeyId: keyId,
      Plaintext: plaintext,
      EncryptionContext: encryptionContext.optional(),
      EncryptionAlgorithm: encryptionAlgorithm.optional(),
      GrantTokens: grantTokens.optional(),
      DryRun: dryRun.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const algorithm = body.EncryptionAlgorithm ?? SYMMETRIC
      const key = parseKeyIdentifier(scope, body.KeyId)
      const secret = decodeBlob(body.Plaintext)
      try {
        const input = {
          key,
          plaintext: secret,
          encryptionContext: toEncryptionContext(body.EncryptionContext),
          algorithm,
        }
        const sealed = await kms.encrypt(context, input)
        return {
          CiphertextBlob: toBase64(sealed.blob),
          KeyId: keyArn(scope, sealed.key.keyId),
          EncryptionAlgorithm: algorithm,
        }
      } finally {
        secret.fill(0)
      }
    },
  }),

  Decrypt: awsOperation<DecryptBody>({
    body: decryptBody,
    bodyFor: (members) => (ignoresCiphertext(members) ? decryptDryBody : undefined),
    refuses: ['Recipient'],
    handle: async ({ kms, context, scope }, body) => {
      const algorithm = body.EncryptionAlgorithm ?? SYMMETRIC
      const opened = await kms.decrypt(context, {
        blob: blobOf(body),
        key: body.KeyId === undefined ? undefined : parseKeyIdentifier(scope, body.KeyId),
        encryptionContext: toEncryptionContext(body.EncryptionContext),
        algorithm,
      })
      return {
        KeyId: keyArn(scope, opened.key.keyId),
        Plaintext: giveAway(opened.plaintext),
        EncryptionAlgorithm: algorithm,
        ...materialMember('KeyMaterialId', opened),
      }
    },
  }),

  ReEncrypt: awsOperation<ReEncryptBody>({
    body: reEncryptBody,
    bodyFor: (members) => (ignoresCiphertext(members) ? reEncryptDryBody : undefined),
    handle: async ({ kms, context, scope }, body) => {
      const sourceAlgorithm = body.SourceEncryptionAlgorithm ?? SYMMETRIC
      const destinationAlgorithm = body.DestinationEncryptionAlgorithm ?? SYMMETRIC
      const { source, destination } = await kms.reEncrypt(context, {
        blob: blobOf(body),
        sourceKey: body.SourceKeyId === undefined ? undefined : parseKeyIdentifier(scope, body.SourceKeyId),
        sourceEncryptionContext: toEncryptionContext(body.SourceEncryptionContext),
        sourceAlgorithm,
        destinationKey: parseKeyIdentifier(scope, body.DestinationKeyId),
        destinationEncryptionContext: toEncryptionContext(body.DestinationEncryptionContext),
        destinationAlgorithm,
      })
      return {
        CiphertextBlob: toBase64(destination.blob),
        SourceKeyId: keyArn(scope, source.key.keyId),
        KeyId: keyArn(scope, destination.key.keyId),
        SourceEncryptionAlgorithm: sourceAlgorithm,
        DestinationEncryptionAlgorithm: destinationAlgorithm,
        ...materialMember('SourceKeyMaterialId', source),
        ...materialMember('DestinationKeyMaterialId', destination),
      }
    },
  }),

  GenerateDataKey: awsOperation({
    body: dataKeyBody.extend({ Recipient: anything }),
    refuses: ['Recipient'],
    handle: async (call, body) => {
      const dataKey = await call.kms.generateDataKey(call.context, dataKeyInput(call, body))
      return { ...sealedDataKey(call.scope, dataKey), Plaintext: giveAway(dataKey.plaintext) }
    },
  }),

  GenerateDataKeyWithoutPlaintext: awsOperation({
    body: dataKeyBody,
    handle: async (call, body) => {
      const sealed = await call.kms.generateDataKeyWithoutPlaintext(call.context, dataKeyInput(call, body))
      return sealedDataKey(call.scope, sealed)
    },
  }),

  GenerateRandom: awsOperation({
    body: z.object({
      NumberOfBytes: numberOfBytes.optional(),
      CustomKeyStoreId: z.string().min(1).max(64).optional(),
      Recipient: anything,
    }),
    refuses: ['CustomKeyStoreId', 'Recipient'],
    handle: async ({ kms, context }, body) => {
      if (body.NumberOfBytes === undefined) throw validation('NumberOfBytes is required.')
      return { Plaintext: giveAway(await kms.generateRandom(context, body.NumberOfBytes)) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

function dataKeyInput({ scope }: AwsCall, body: z.output<typeof dataKeyBody>) {
  const { KeySpec: spec, NumberOfBytes: length } = body
  const lengthBytes = spec === undefined ? length : DATA_KEY_BYTES[spec]
  if (lengthBytes === undefined || (spec !== undefined && length !== undefined)) {
    throw validation('Please specify either number of bytes or key spec.')
  }
  return {
    key: parseKeyIdentifier(scope, body.KeyId),
    lengthBytes,
    encryptionContext: toEncryptionContext(body.EncryptionContext),
  }
}

function sealedDataKey(scope: ArnScope, sealed: SealedPayload) {
  return {
    CiphertextBlob: toBase64(sealed.blob),
    KeyId: keyArn(scope, sealed.key.keyId),
    KeyMaterialId: keyMaterialId(sealed.version),
  }
}

/** The version of a symmetric key under a name of AWS KMS; other keys have one material, which has no id. */
function materialMember(
  name: 'KeyMaterialId' | 'SourceKeyMaterialId' | 'DestinationKeyMaterialId',
  { key, version }: Pick<SealedPayload, 'key' | 'version'>,
): object {
  return isSymmetric(key.spec) ? { [name]: keyMaterialId(version) } : {}
}
