import { isUtf8 } from 'node:buffer'
import { constants, publicEncrypt } from 'node:crypto'
import { z } from 'zod'
import { exportKey } from '../../../../core/export-key.ts'
import type { OpenedPayload, SealedPayload } from '../../../../core/ops/seal-payload.ts'
import { invalidParameter } from '../fault.ts'
import { parseKeyIdentifier } from '../key-names.ts'
import { blob, choice, encryptionContext, integer, keyId, keyVersionId, opaqueText } from '../members.ts'
import { type OpenApiCall, type OpenApiOperation, openApiOperation } from '../operation.ts'
import { keyMembers } from '../wire.ts'

/** 6 KB, as the real service takes them, in base64. */
const PLAINTEXT_BYTES_MAX = 8192
const CIPHERTEXT_BYTES_MAX = 8320
const NUMBER_OF_BYTES = { min: 1, max: 1024, default: 32 } as const
const DATA_KEY_BYTES = { AES_256: 32, AES_128: 16 } as const

/** What a data key is here: base64 text, in the layout of this API. */
const DATA_KEY_STYLE = { layout: 'openapi', presentation: 'base64' } as const
const TEXT_STYLE = { layout: 'openapi', presentation: 'text' } as const

const ciphertextBlob = blob(1, CIPHERTEXT_BYTES_MAX)

/** Of a ciphertext of AsymmetricEncrypt, which names no key; without it the ciphertext is a symmetric one. */
const sourceAlgorithm = choice(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'], ['SM2PKE'])

const dataKeyParameters = z.object({
  KeyId: keyId,
  KeySpec: z.enum(['AES_256', 'AES_128']).optional(),
  NumberOfBytes: integer(NUMBER_OF_BYTES.min, NUMBER_OF_BYTES.max).optional(),
  EncryptionContext: encryptionContext.optional(),
})

const OAEP_HASHES = { RSAES_OAEP_SHA_256: 'sha256', RSAES_OAEP_SHA_1: 'sha1' } as const
const EXPORT_KEY_BITS = 2048

const exportParameters = {
  PublicKeyBlob: blob(1, 4096),
  WrappingKeySpec: choice(['RSA_2048'], ['EC_SM2']),
  WrappingAlgorithm: choice(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'], ['SM2PKE']),
}

/** The operations on data. */
export const CRYPTOGRAPHIC_OPERATIONS = {
  Encrypt: openApiOperation({
    dryRun: true,
    parameters: z.object({
      KeyId: keyId,
      Plaintext: opaqueText(PLAINTEXT_BYTES_MAX),
      EncryptionContext: encryptionContext.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const key = parseKeyIdentifier(scope, body.KeyId)
      const plaintext = Buffer.from(body.Plaintext, 'utf8')
      try {
        const input = { key, plaintext, encryptionContext: body.EncryptionContext, style: TEXT_STYLE }
        return sealedMembers(await kms.encrypt(context, input))
      } finally {
        plaintext.fill(0)
      }
    },
  }),

  Decrypt: openApiOperation({
    dryRun: true,
    refuses: ['Recipient'],
    parameters: z.object({
      CiphertextBlob: ciphertextBlob,
      EncryptionContext: encryptionContext.optional(),
    }),
    handle: async ({ kms, context }, body) => {
      const opened = await kms.decrypt(context, {
        blob: body.CiphertextBlob,
        encryptionContext: body.EncryptionContext,
      })
      return { ...keyMembers(opened), Plaintext: plaintextOf(opened) }
    },
  }),

  ReEncrypt: openApiOperation({
    dryRun: true,
    parameters: z.object({
      CiphertextBlob: ciphertextBlob,
      SourceKeyId: keyId.optional(),
      SourceKeyVersionId: keyVersionId.optional(),
      SourceEncryptionAlgorithm: sourceAlgorithm.optional(),
      SourceEncryptionContext: encryptionContext.optional(),
      DestinationKeyId: keyId,
      DestinationEncryptionContext: encryptionContext.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { destination } = await kms.reEncrypt(context, {
        blob: body.CiphertextBlob,
        sourceKey: body.SourceKeyId === undefined ? undefined : parseKeyIdentifier(scope, body.SourceKeyId),
        sourceAlgorithm: body.SourceEncryptionAlgorithm,
        sourceVersionId: body.SourceKeyVersionId,
        sourceEncryptionContext: body.SourceEncryptionContext,
        destinationKey: parseKeyIdentifier(scope, body.DestinationKeyId),
        destinationEncryptionContext: body.DestinationEncryptionContext,
        destinationLayout: 'openapi',
      })
      return sealedMembers(destination)
    },
  }),

  GenerateDataKey: openApiOperation({
    dryRun: true,
    refuses: ['Recipient'],
    parameters: dataKeyParameters,
    handle: async (call, body) => {
      const dataKey = await call.kms.generateDataKey(call.context, dataKeyInput(call, body))
      return { ...sealedMembers(dataKey), Plaintext: giveAway(dataKey.plaintext, 'latin1') }
    },
  }),

  GenerateDataKeyWithoutPlaintext: openApiOperation({
    dryRun: true,
    parameters: dataKeyParameters,
    handle: async (call, body) =>
      sealedMembers(await call.kms.generateDataKeyWithoutPlaintext(call.context, dataKeyInput(call, body))),
  }),

  GenerateAndExportDataKey: openApiOperation({
    dryRun: true,
    parameters: dataKeyParameters.extend(exportParameters),
    handle: async (call, body) => {
      const wrap = wrapperOf(body)
      const dataKey = await call.kms.generateDataKey(call.context, dataKeyInput(call, body))
      return { ...sealedMembers(dataKey), ExportedDataKey: wrap(dataKey.plaintext) }
    },
  }),

  ExportDataKey: openApiOperation({
    dryRun: true,
    parameters: z.object({
      CiphertextBlob: ciphertextBlob,
      EncryptionContext: encryptionContext.optional(),
      ...exportParameters,
    }),
    handle: async ({ kms, context }, body) => {
      const wrap = wrapperOf(body)
      const opened = await kms.decrypt(context, {
        blob: body.CiphertextBlob,
        encryptionContext: body.EncryptionContext,
      })
      if (opened.presentation !== 'base64') {
        opened.plaintext.fill(0)
        throw invalidParameter('CiphertextBlob', 'It is no data key of GenerateDataKey.')
      }
      return { ...keyMembers(opened), ExportedDataKey: wrap(opened.plaintext) }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>

/** `NumberOfBytes` wins over `KeySpec`; 32 bytes where neither is there (GenerateDataKey, "Request parameters"). */
function dataKeyInput({ scope }: OpenApiCall, body: z.output<typeof dataKeyParameters>) {
  const ofSpec = body.KeySpec === undefined ? NUMBER_OF_BYTES.default : DATA_KEY_BYTES[body.KeySpec]
  return {
    key: parseKeyIdentifier(scope, body.KeyId),
    lengthBytes: body.NumberOfBytes ?? ofSpec,
    encryptionContext: body.EncryptionContext,
    style: DATA_KEY_STYLE,
  }
}

function sealedMembers(sealed: SealedPayload) {
  return { ...keyMembers(sealed), CiphertextBlob: sealed.blob.toString('base64') }
}

/**
 * A text as it is; bytes that never were one, of the AWS API or a private key in DER, as base64. What a caller of the KMS
 * Instance API encrypted is a text here as it is with Alibaba Cloud, unless it is none.
 */
function plaintextOf({ presentation, plaintext }: OpenedPayload): string {
  const isText = presentation === 'base64' || presentation === 'text' || presentation === 'pkcs8-pem'
  return giveAway(plaintext, isText && isUtf8(plaintext) ? 'utf8' : 'base64')
}

/** The text of bytes that are zeroed with that. */
function giveAway(secret: Buffer, encoding: 'utf8' | 'latin1' | 'base64'): string {
  try {
    return secret.toString(encoding)
  } finally {
    secret.fill(0)
  }
}

/**
 * Encrypts a data key, given as base64 text, for the owner of an RSA key. Zeroes what it is given.
 *
 * @throws {@link OpenApiFault} `InvalidParameter` for a blob that is no such key.
 */
function wrapperOf(body: {
  readonly PublicKeyBlob: Buffer
  readonly WrappingAlgorithm: keyof typeof OAEP_HASHES
}): (dataKey: Buffer) => string {
  const key = exportKey(body.PublicKeyBlob, EXPORT_KEY_BITS)
  if (!key) throw invalidParameter('PublicKeyBlob')
  const oaepHash = OAEP_HASHES[body.WrappingAlgorithm]
  const longest = EXPORT_KEY_BITS / 8 - 2 * (oaepHash === 'sha256' ? 32 : 20) - 2
  return (dataKey) => {
    const bytes = Buffer.from(giveAway(dataKey, 'latin1'), 'base64')
    try {
      if (bytes.length > longest)
        throw invalidParameter('NumberOfBytes', `The wrapping key takes ${longest}.`)
      const padding = constants.RSA_PKCS1_OAEP_PADDING
      return publicEncrypt({ key, padding, oaepHash }, bytes).toString('base64')
    } finally {
      bytes.fill(0)
    }
  }
}
