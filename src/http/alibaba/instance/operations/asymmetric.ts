import { presentPublicKey } from '../../../../core/envelope/present.ts'
import { isKmsError } from '../../../../core/errors.ts'
import type { KeyIdentifier, MasterKey } from '../../../../core/key.ts'
import { invalidParameter, unsupported } from '../fault.ts'
import { missing, requireKeyId } from '../members.ts'
import type { Message } from '../messages.ts'
import { type InstanceCall, type InstanceOperation, instanceOperation } from '../operation.ts'

/** Longest message; whatever is longer is hashed by its sender. Bytes. */
const MESSAGE_BYTES_MAX = 4096
const SIGNATURE_BYTES_MAX = 6144

/** What algorithms are called in the core. */
const ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['RSA_PSS_SHA_256', 'RSASSA_PSS_SHA_256'],
  ['RSA_PKCS1_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_256'],
  ['ECDSA_SHA_256', 'ECDSA_SHA_256'],
])
const SM2 = 'SM2DSA'

/**
 * Operations with asymmetric keys: KMS Instance API, one section per name. They use the initial version unless the client names
 * another one. Signatures of ECDSA are in DER.
 */
export const ASYMMETRIC_OPERATIONS = {
  Sign: instanceOperation({
    request: 'SignRequest',
    answer: 'SignResponse',
    handle: async (call, message) => {
      const { input, told } = await signingInput(call, message)
      const { key, version, signature } = await call.kms.sign(call.context, input)
      const fields = { KeyId: key.keyId, Signature: signature, ...told }
      return { fields, keyVersionId: version.versionId }
    },
  }),

  Verify: instanceOperation({
    request: 'VerifyRequest',
    answer: 'VerifyResponse',
    handle: async (call, message) => {
      const { Signature: signature } = message
      if (signature.length === 0) throw missing('Signature')
      if (signature.length > SIGNATURE_BYTES_MAX) throw invalidParameter()
      const { input, told, key } = await signingInput(call, message)
      const Value = await isTrue(call.kms.verify(call.context, { ...input, signature }))
      const keyVersionId = call.keyVersionId ?? key.primaryVersionId
      return { fields: { KeyId: key.keyId, Value, ...told }, keyVersionId }
    },
  }),

  GetPublicKey: instanceOperation({
    request: 'GetPublicKeyRequest',
    answer: 'GetPublicKeyResponse',
    handle: async (call, { KeyId }) => {
      const { kms, context, keyVersionId } = call
      const { key, version, publicKey } = await kms.getPublicKey(context, requireKeyId(KeyId), keyVersionId)
      const PublicKey = presentPublicKey('pkcs8-pem', publicKey).toString('latin1')
      return { fields: { KeyId: key.keyId, PublicKey }, keyVersionId: version.versionId }
    },
  }),
} as const satisfies Readonly<Record<string, InstanceOperation>>

/** What the core is to sign or verify, and what the answer says of it. */
async function signingInput(
  { kms, context, keyVersionId: versionId }: InstanceCall,
  message: Pick<Message<'SignRequest'>, 'KeyId' | 'Digest' | 'Algorithm' | 'Message' | 'MessageType'>,
) {
  const identifier = requireKeyId(message.KeyId)
  const { kind, bytes } = signedBytes(message)
  const algorithm = ALGORITHMS.get(message.Algorithm)
  if (algorithm === undefined && message.Algorithm !== '') {
    throw message.Algorithm === SM2 ? unsupported() : invalidParameter()
  }
  const key = await kms.describeKey(context, identifier)
  const name = algorithm ?? defaultAlgorithm(key)
  const told = {
    Algorithm: nameOf(name),
    MessageType: kind === 'digest' ? 'DIGEST' : 'RAW',
  }
  const named: KeyIdentifier = { kind: 'id', keyId: key.keyId }
  return { input: { key: named, versionId, algorithm: name, kind, message: bytes }, told, key }
}

/** Clients of the first release send a digest in a field of its own. */
function signedBytes(message: Pick<Message<'SignRequest'>, 'Digest' | 'Message' | 'MessageType'>) {
  const bytes = message.Message.length > 0 ? message.Message : message.Digest
  if (bytes.length === 0) throw missing('Message')
  if (bytes.length > MESSAGE_BYTES_MAX) throw invalidParameter()
  const type = message.MessageType || (message.Message.length > 0 ? 'RAW' : 'DIGEST')
  if (type !== 'RAW' && type !== 'DIGEST') throw invalidParameter()
  return { kind: type === 'DIGEST' ? ('digest' as const) : ('message' as const), bytes }
}

function defaultAlgorithm({ spec }: MasterKey): string {
  return spec.startsWith('RSA') ? 'RSASSA_PSS_SHA_256' : 'ECDSA_SHA_256'
}

function nameOf(algorithm: string): string {
  const row = [...ALGORITHMS].find(([, core]) => core === algorithm)
  return row?.[0] ?? algorithm
}

async function isTrue(verified: Promise<unknown>): Promise<boolean> {
  try {
    await verified
    return true
  } catch (error) {
    if (isKmsError(error, 'SIGNATURE_INVALID')) return false
    throw error
  }
}
