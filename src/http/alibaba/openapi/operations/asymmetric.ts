import { z } from 'zod'
import { presentPublicKey } from '../../../../core/envelope/present.ts'
import { isKmsError } from '../../../../core/errors.ts'
import type { MasterKey } from '../../../../core/key.ts'
import { parseKeyIdentifier } from '../key-names.ts'
import { blob, choice, keyId, keyVersionId } from '../members.ts'
import { type OpenApiOperation, openApiOperation } from '../operation.ts'
import { keyMembers } from '../wire.ts'

const MESSAGE_BYTES_MAX = 4096
const CIPHERTEXT_BYTES_MAX = 512
const SIGNATURE_BYTES_MAX = 6144
const DIGEST_BYTES = 32

/** Algorithms by what AWS KMS calls them; those of SM2 and SM3 are refused by name. */
const SIGNING_ALGORITHMS = {
  RSA_PSS_SHA_256: 'RSASSA_PSS_SHA_256',
  RSA_PKCS1_SHA_256: 'RSASSA_PKCS1_V1_5_SHA_256',
  ECDSA_SHA_256: 'ECDSA_SHA_256',
} as const
const signingAlgorithm = choice(['RSA_PSS_SHA_256', 'RSA_PKCS1_SHA_256', 'ECDSA_SHA_256'], ['SM2DSA'])
const encryptionAlgorithm = choice(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'], ['SM2PKE'])
const macAlgorithm = choice(['HMAC_SHA_224', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'], ['HMAC_SM3'])

const keyAndVersion = z.object({ KeyId: keyId, KeyVersionId: keyVersionId })
const signParameters = keyAndVersion.extend({
  Algorithm: signingAlgorithm,
  Digest: blob(DIGEST_BYTES, DIGEST_BYTES),
})
const macParameters = z.object({
  KeyId: keyId,
  Algorithm: macAlgorithm,
  Message: blob(1, MESSAGE_BYTES_MAX),
})

/** What is done with key pairs, whose version requests name, and with keys for MACs. */
export const ASYMMETRIC_OPERATIONS = {
  AsymmetricEncrypt: openApiOperation({
    dryRun: true,
    parameters: keyAndVersion.extend({
      Algorithm: encryptionAlgorithm,
      Plaintext: blob(1, MESSAGE_BYTES_MAX),
    }),
    handle: async ({ kms, context, scope }, body) => {
      try {
        const sealed = await kms.encrypt(context, {
          key: parseKeyIdentifier(scope, body.KeyId),
          versionId: body.KeyVersionId,
          algorithm: body.Algorithm,
          plaintext: body.Plaintext,
        })
        return { ...keyMembers(sealed), CiphertextBlob: sealed.blob.toString('base64') }
      } finally {
        body.Plaintext.fill(0)
      }
    },
  }),

  AsymmetricDecrypt: openApiOperation({
    dryRun: true,
    parameters: keyAndVersion.extend({
      Algorithm: encryptionAlgorithm,
      CiphertextBlob: blob(1, CIPHERTEXT_BYTES_MAX),
    }),
    handle: async ({ kms, context, scope }, body) => {
      const { plaintext, ...opened } = await kms.decrypt(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        versionId: body.KeyVersionId,
        algorithm: body.Algorithm,
        blob: body.CiphertextBlob,
      })
      try {
        return { ...keyMembers(opened), Plaintext: plaintext.toString('base64') }
      } finally {
        plaintext.fill(0)
      }
    },
  }),

  AsymmetricSign: openApiOperation({
    dryRun: true,
    parameters: signParameters,
    handle: async ({ kms, context, scope }, body) => {
      const { signature, ...signed } = await kms.sign(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        versionId: body.KeyVersionId,
        algorithm: SIGNING_ALGORITHMS[body.Algorithm],
        kind: 'digest',
        message: body.Digest,
      })
      return { ...keyMembers(signed), Value: signature.toString('base64') }
    },
  }),

  AsymmetricVerify: openApiOperation({
    dryRun: true,
    parameters: signParameters.extend({ Value: blob(1, SIGNATURE_BYTES_MAX) }),
    handle: async ({ kms, context, scope }, body) => {
      const input = {
        key: parseKeyIdentifier(scope, body.KeyId),
        versionId: body.KeyVersionId,
        algorithm: SIGNING_ALGORITHMS[body.Algorithm],
        kind: 'digest' as const,
        message: body.Digest,
        signature: body.Value,
      }
      const valid = await isValid(kms.verify(context, input))
      const { KeyVersionId } = body
      return { KeyId: context.trail.keyId ?? '', KeyVersionId, Value: valid !== undefined }
    },
  }),

  GetPublicKey: openApiOperation({
    dryRun: true,
    parameters: keyAndVersion,
    handle: async ({ kms, context, scope }, body) => {
      const key = parseKeyIdentifier(scope, body.KeyId)
      const { publicKey, ...named } = await kms.getPublicKey(context, key, body.KeyVersionId)
      return {
        ...keyMembers(named),
        PublicKey: presentPublicKey('pkcs8-pem', publicKey).toString('latin1'),
      }
    },
  }),

  GenerateMac: openApiOperation({
    dryRun: true,
    parameters: macParameters,
    handle: async ({ kms, context, scope }, body) => {
      const { key, mac } = await kms.generateMac(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        algorithm: body.Algorithm,
        message: body.Message,
      })
      return { KeyId: key.keyId, Algorithm: body.Algorithm, Mac: mac.toString('base64') }
    },
  }),

  VerifyMac: openApiOperation({
    dryRun: true,
    parameters: macParameters.extend({ Mac: blob(1, SIGNATURE_BYTES_MAX) }),
    handle: async ({ kms, context, scope }, body) => {
      const key = parseKeyIdentifier(scope, body.KeyId)
      const { Algorithm, Message: message, Mac: mac } = body
      const valid = await isValid(kms.verifyMac(context, { key, algorithm: Algorithm, message, mac }))
      return { KeyId: context.trail.keyId ?? '', Algorithm, Value: valid !== undefined }
    },
  }),
} as const satisfies Readonly<Record<string, OpenApiOperation>>

/** The key, when what was shown is right; `undefined` when it is not, which is an answer in this API and no error. */
async function isValid(verified: Promise<MasterKey>): Promise<MasterKey | undefined> {
  try {
    return await verified
  } catch (error) {
    if (isKmsError(error, 'SIGNATURE_INVALID') || isKmsError(error, 'MAC_INVALID')) return undefined
    throw error
  }
}
