import { z } from 'zod'
import { invalidParameter } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { blob, choice, integer, keyId } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { toUtc } from '../timestamp.ts'

const BLOB_BYTES_MAX = 6144
const SECOND_MS = 1_000
/** Seconds since the epoch, to the end of the year 9999. */
const UNIX_MAX = 253_402_300_799
/** How long a wrapping key pair waits while the token makes others, before the caller is throttled. Milliseconds. */
const PAIR_WAIT_MS = 5_000

/** Material that the owner of a key brings. */
export const IMPORT_OPERATIONS = {
  GetParametersForImport: openApiOperation({
    parameters: z.object({
      KeyId: keyId,
      WrappingAlgorithm: choice(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'], ['RSAES_PKCS1_V1_5', 'SM2PKE']),
      WrappingKeySpec: choice(['RSA_2048'], ['EC_SM2']),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { key, importToken, publicKey, expiresAt } = await kms.getParametersForImport(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        algorithm: body.WrappingAlgorithm,
        spec: body.WrappingKeySpec,
        waitMs: PAIR_WAIT_MS,
      })
      return {
        KeyId: key.keyId,
        ImportToken: importToken.toString('base64'),
        PublicKey: publicKey.toString('base64'),
        TokenExpireTime: toUtc(expiresAt),
      }
    },
  }),

  ImportKeyMaterial: openApiOperation({
    parameters: z.object({
      KeyId: keyId,
      EncryptedKeyMaterial: blob(1, BLOB_BYTES_MAX),
      ImportToken: blob(1, BLOB_BYTES_MAX),
      // 0 for material that never expires.
      KeyMaterialExpireUnix: integer(0, UNIX_MAX),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { KeyMaterialExpireUnix: expires } = body
      if (expires !== 0 && expires * SECOND_MS <= Date.now()) throw invalidParameter('KeyMaterialExpireUnix')
      await kms.importKeyMaterial(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        importToken: body.ImportToken,
        wrapped: body.EncryptedKeyMaterial,
        expiresAt: expires === 0 ? undefined : expires * SECOND_MS,
      })
      return {}
    },
  }),

  DeleteKeyMaterial: openApiOperation({
    parameters: z.object({ KeyId: keyId }),
    handle: async ({ kms, context, scope }, body) => {
      await kms.deleteImportedKeyMaterial(context, parseManagedKeyId(scope, body.KeyId), undefined)
      return {}
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>
