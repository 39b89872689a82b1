import { z } from 'zod'
import type { MessageKind } from '../../../core/ops/sign.ts'
import { parseKeyIdentifier } from '../key-names.ts'
import {
  blob,
  decodeBlob,
  dryRun,
  grantTokens,
  keyAgreementAlgorithm,
  keyId,
  macAlgorithm,
  messageType,
  signingAlgorithm,
} from '../members.ts'
import { type AwsCall, type AwsOperation, awsOperation } from '../operation.ts'
import { algorithmMembers, giveAway, keyArn, toBase64 } from '../wire.ts'

const anything = z.unknown().optional()
const message = blob(1, 4096)

const signBody = z.object({
  KeyId: keyId,
  Message: message,
  MessageType: messageType.optional(),
  GrantTokens: grantTokens.optional(),
  SigningAlgorithm: signingAlgorithm,
  DryRun: dryRun.optional(),
})
type SignBody = z.output<typeof signBody>

const macBody = z.object({
  Message: message,
  KeyId: keyId,
  MacAlgorithm: macAlgorithm,
  GrantTokens: grantTokens.optional(),
  DryRun: dryRun.optional(),
})

/** The operations of key pairs and MAC keys: AWS KMS API Reference, one section per name. */
export const SIGNING_OPERATIONS = {
  Sign: awsOperation({
    body: signBody,
    handle: async (call, body) => {
      const { key, signature } = await call.kms.sign(call.context, signInput(call, body))
      return {
        KeyId: keyArn(call.scope, key.keyId),
        Signature: toBase64(signature),
        SigningAlgorithm: body.SigningAlgorithm,
      }
    },
  }),

  Verify: awsOperation({
    body: signBody.extend({ Signature: blob(1, 6144) }),
    handle: async (call, body) => {
      const input = { ...signInput(call, body), signature: decodeBlob(body.Signature) }
      const key = await call.kms.verify(call.context, input)
      return {
        KeyId: keyArn(call.scope, key.keyId),
        SignatureValid: true,
        SigningAlgorithm: body.SigningAlgorithm,
      }
    },
  }),

  GenerateMac: awsOperation({
    body: macBody,
    handle: async ({ kms, context, scope }, body) => {
      const { key, mac } = await kms.generateMac(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        algorithm: body.MacAlgorithm,
        message: decodeBlob(body.Message),
      })
      return { KeyId: keyArn(scope, key.keyId), Mac: toBase64(mac), MacAlgorithm: body.MacAlgorithm }
    },
  }),

  VerifyMac: awsOperation({
    body: macBody.extend({ Mac: blob(1, 6144) }),
    handle: async ({ kms, context, scope }, body) => {
      const key = await kms.verifyMac(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        algorithm: body.MacAlgorithm,
        message: decodeBlob(body.Message),
        mac: decodeBlob(body.Mac),
      })
      return { KeyId: keyArn(scope, key.keyId), MacValid: true, MacAlgorithm: body.MacAlgorithm }
    },
  }),

  GetPublicKey: awsOperation({
    body: z.object({ KeyId: keyId, GrantTokens: grantTokens.optional() }),
    handle: async ({ kms, context, scope }, body) => {
      const { key, publicKey } = await kms.getPublicKey(context, parseKeyIdentifier(scope, body.KeyId))
      return {
        KeyId: keyArn(scope, key.keyId),
        PublicKey: toBase64(publicKey),
        CustomerMasterKeySpec: key.spec,
        KeySpec: key.spec,
        KeyUsage: key.usage,
        ...algorithmMembers(key),
      }
    },
  }),

  DeriveSharedSecret: awsOperation({
    body: z.object({
      KeyId: keyId,
      KeyAgreementAlgorithm: keyAgreementAlgorithm,
      PublicKey: blob(1, 8192),
      GrantTokens: grantTokens.optional(),
      DryRun: dryRun.optional(),
      Recipient: anything,
    }),
    refuses: ['Recipient'],
    handle: async ({ kms, context, scope }, body) => {
      const { key, secret } = await kms.deriveSharedSecret(context, {
        key: parseKeyIdentifier(scope, body.KeyId),
        algorithm: body.KeyAgreementAlgorithm,
        publicKey: decodeBlob(body.PublicKey),
      })
      return {
        KeyId: keyArn(scope, key.keyId),
        SharedSecret: giveAway(secret),
        KeyAgreementAlgorithm: body.KeyAgreementAlgorithm,
        KeyOrigin: key.origin ?? 'AWS_KMS',
      }
    },
  }),
} as const satisfies Readonly<Record<string, AwsOperation>>

const KINDS: Readonly<Record<z.output<typeof messageType>, MessageKind>> = {
  RAW: 'message',
  DIGEST: 'digest',
  EXTERNAL_MU: 'mu',
}

function signInput({ scope }: AwsCall, body: SignBody) {
  const { KeyId, Message, MessageType = 'RAW', SigningAlgorithm: algorithm } = body
  return {
    key: parseKeyIdentifier(scope, KeyId),
    algorithm,
    kind: KINDS[MessageType],
    message: decodeBlob(Message),
  }
}
