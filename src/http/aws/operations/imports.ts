import { z } from 'zod'
import type { KeyVersion, MasterKey } from '../../../core/key.ts'
import { isSymmetric } from '../../../core/key-spec.ts'
import { keyMaterialId } from '../../../core/material-id.ts'
import {
  WRAPPING_ALGORITHMS,
  WRAPPING_KEY_SPECS,
  type WrappingAlgorithm,
  type WrappingKeySpec,
} from '../../../core/ports/import-store.ts'
import { unsupported, validation } from '../fault.ts'
import { parseManagedKeyId } from '../key-names.ts'
import { blob, decodeBlob, keyId } from '../members.ts'
import { type AwsOperation, awsOperation } from '../operation.ts'
import { keyArn, toBase64, toTimestamp } from '../wire.ts'

const MATERIAL_ID_LENGTH = 64
const VALID_TO_DAYS_MAX = 365
const DAY_MS = 86_400_000
const SECOND_MS = 1_000

const materialId = z
  .string()
  .length(MATERIAL_ID_LENGTH)
  .regex(/^[a-f0-9]+$/)

/** The import of key material: AWS KMS API Reference, one section per name. */
export const IMPORT_OPERATIONS = {
  GetParametersForImport: awsOperation({
    body: z.object({
      KeyId: keyId,
      WrappingAlgorithm: z.enum([
        'RSAES_PKCS1_V1_5',
        'RSAES_OAEP_SHA_1',
        'RSAES_OAEP_SHA_256',
        'RSA_AES_KEY_WRAP_SHA_1',
        'RSA_AES_KEY_WRAP_SHA_256',
        'SM2PKE',
      ]),
      WrappingKeySpec: z.enum(['RSA_2048', 'RSA_3072', 'RSA_4096', 'SM2']),
    }),
    handle: async ({ kms, context, scope, keyPairWaitMs }, body) => {
      const { key, importToken, publicKey, expiresAt } = await kms.getParametersForImport(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        algorithm: requireAlgorithm(body.WrappingAlgorithm),
        spec: requireSpec(body.WrappingKeySpec),
        waitMs: keyPairWaitMs,
      })
      return {
        KeyId: keyArn(scope, key.keyId),
        ImportToken: toBase64(importToken),
        PublicKey: toBase64(publicKey),
        ParametersValidTo: toTimestamp(expiresAt),
      }
    },
  }),

  ImportKeyMaterial: awsOperation({
    body: z.object({
      KeyId: keyId,
      ImportToken: blob(1, 6144),
      EncryptedKeyMaterial: blob(1, 6144),
      ValidTo: z.number().optional(),
      ExpirationModel: z.enum(['KEY_MATERIAL_EXPIRES', 'KEY_MATERIAL_DOES_NOT_EXPIRE']).optional(),
      ImportType: z.enum(['NEW_KEY_MATERIAL', 'EXISTING_KEY_MATERIAL']).optional(),
      KeyMaterialDescription: z
        .string()
        .max(256)
        .regex(/^[a-zA-Z0-9:/_\s.-]+$/)
        .optional(),
      KeyMaterialId: materialId.optional(),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { ImportType, KeyMaterialId } = body
      if (ImportType === 'NEW_KEY_MATERIAL' && KeyMaterialId !== undefined)
        throw validation('You cannot specify a KeyMaterialId if the ImportType is NEW_KEY_MATERIAL')
      const { key, version } = await kms.importKeyMaterial(context, {
        keyId: parseManagedKeyId(scope, body.KeyId),
        importToken: decodeBlob(body.ImportToken),
        wrapped: decodeBlob(body.EncryptedKeyMaterial),
        expiresAt: expiryOf(body.ExpirationModel, body.ValidTo),
        type: ImportType && (ImportType === 'NEW_KEY_MATERIAL' ? 'NEW' : 'EXISTING'),
        materialId: KeyMaterialId,
        description: body.KeyMaterialDescription,
      })
      return { KeyId: keyArn(scope, key.keyId), ...materialIdOf(key, version) }
    },
  }),

  DeleteImportedKeyMaterial: awsOperation({
    body: z.object({ KeyId: keyId, KeyMaterialId: materialId.optional() }),
    handle: async ({ kms, context, scope }, body) => {
      const id = parseManagedKeyId(scope, body.KeyId)
      const { key, version } = await kms.deleteImportedKeyMaterial(context, id, body.KeyMaterialId)
      return { KeyId: keyArn(scope, key.keyId), ...materialIdOf(key, version) }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

/** Only symmetric keys have several materials, which have ids. */
function materialIdOf({ spec }: MasterKey, version: KeyVersion | undefined) {
  return version && isSymmetric(spec) ? { KeyMaterialId: keyMaterialId(version) } : {}
}

/** RSAES_PKCS1_V1_5 was retired on 2023-10-10; SM2 is of China Regions alone. */
function requireAlgorithm(algorithm: string): WrappingAlgorithm {
  const known = WRAPPING_ALGORITHMS.find((one) => one === algorithm)
  if (known) return known
  throw unsupported(`WrappingAlgorithm ${algorithm}`)
}

function requireSpec(spec: string): WrappingKeySpec {
  const known = WRAPPING_KEY_SPECS.find((one) => one === spec)
  if (known) return known
  throw unsupported(`WrappingKeySpec ${spec}`)
}

/** @returns Milliseconds since the epoch; `undefined` where the material does not expire. */
function expiryOf(model: string | undefined, validTo: number | undefined): number | undefined {
  if (model === 'KEY_MATERIAL_DOES_NOT_EXPIRE') {
    if (validTo === undefined) return undefined
    throw validation('A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE')
  }
  if (validTo === undefined)
    throw validation('A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES')
  const at = Math.floor(validTo * SECOND_MS)
  if (Number.isSafeInteger(at) && at <= Date.now() + VALID_TO_DAYS_MAX * DAY_MS) return at
  throw validation(`The validTo date must be within ${VALID_TO_DAYS_MAX} days.`)
}
