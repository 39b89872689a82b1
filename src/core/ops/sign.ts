import { hash } from 'node:crypto'
import { checksPassed } from '../dry-run.ts'
import { ecdsaToDer } from '../ecdsa-signature.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requirePrimaryVersion, tokenRef } from '../find-key.ts'
import type { KeyIdentifier, KeyVersion, MasterKey } from '../key.ts'
import { HASH_BYTES, SIGNING_ALGORITHMS, type SigningAlgorithm } from '../key-spec.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import { requireAlgorithm, requireUsage } from '../usage.ts'
import { verifyDigest, verifyMessage } from '../verify-signature.ts'
import { callOptions } from './seal-payload.ts'

/** `message`: hashed here. `digest`: the caller has hashed it. */
export type MessageKind = 'message' | 'digest'

export interface SignInput {
  readonly key: KeyIdentifier
  /** By its name in AWS KMS. */
  readonly algorithm: string
  readonly kind: MessageKind
  /** 1 to 4096 bytes. */
  readonly message: Buffer
}

export interface VerifyInput extends SignInput {
  /** 1 to 6144 bytes. */
  readonly signature: Buffer
}

export interface Signed {
  readonly key: MasterKey
  /** Of ECDSA in DER. */
  readonly signature: Buffer
}

export async function sign(deps: KmsDeps, context: UsingContext, input: SignInput): Promise<Signed> {
  const { key, version, algorithm } = await requireSigningKey(deps, context, 'Sign', input)
  const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
  checksPassed(context, 'Sign', key)
  const whole = input.kind === 'digest' || scheme === 'eddsa'
  const data = whole ? input.message : hash(hashName, input.message, 'buffer')
  const signature = await deps.provider.sign(tokenRef(key, version), algorithm, data, callOptions(context))
  return { key, signature: scheme === 'ecdsa' ? ecdsaToDer(signature) : signature }
}

/**
 * Verifies with the public key of the version: no token is asked.
 *
 * @throws {@link KmsError} `SIGNATURE_INVALID` when the signature is not the one of this key, algorithm and message.
 */
export async function verify(deps: KmsDeps, context: UsingContext, input: VerifyInput): Promise<MasterKey> {
  const { key, version, algorithm } = await requireSigningKey(deps, context, 'Verify', input)
  checksPassed(context, 'Verify', key)
  const { kind, message, signature } = input
  const check = kind === 'digest' ? verifyDigest : verifyMessage
  if (check(version, algorithm, message, signature)) return key
  throw new KmsError('SIGNATURE_INVALID', 'The signature is not valid.', {})
}

interface SigningKey {
  readonly key: MasterKey
  readonly version: KeyVersion
  readonly algorithm: SigningAlgorithm
}

async function requireSigningKey(
  deps: KmsDeps,
  context: CallContext,
  operation: 'Sign' | 'Verify',
  input: SignInput,
): Promise<SigningKey> {
  const key = await requireKey(deps, context, operation, input.key)
  requireUsage(key, operation)
  const algorithm = requireAlgorithm(key, 'signing', input.algorithm)
  const version = requirePrimaryVersion(key)
  requireKind(algorithm, input)
  if (SIGNING_ALGORITHMS[algorithm].scheme === 'eddsa-ph') throw noPrehash(key, algorithm)
  return { key, version, algorithm }
}

/** Ed25519 signs messages, and digests as Ed25519ph alone; any other digest is as long as its hash gives. */
function requireKind(algorithm: SigningAlgorithm, { kind, message }: SignInput): void {
  const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
  if ((scheme === 'eddsa' && kind === 'digest') || (scheme === 'eddsa-ph' && kind === 'message')) {
    const wanted = scheme === 'eddsa' ? 'RAW' : 'DIGEST'
    throw invalid(`Algorithm ${algorithm} requires MessageType ${wanted}.`, 'MessageType')
  }
  if (kind === 'digest' && message.length !== HASH_BYTES[hashName])
    throw invalid(`Digest is invalid length for algorithm ${algorithm}.`, 'Message')
}

function invalid(message: string, field: string): KmsError<'REQUEST_INVALID'> {
  return new KmsError('REQUEST_INVALID', message, { field })
}

/** SoftHSM 2.6.1 leaves the flag out of account and signs as plain Ed25519, so no token is asked for it. */
function noPrehash({ token }: MasterKey, algorithm: SigningAlgorithm): KmsError<'UNSUPPORTED'> {
  const message = `The token "${token}" makes no signatures of algorithm ${algorithm}: this service does not use CKM_EDDSA with phFlag.`
  return new KmsError('UNSUPPORTED', message, {})
}
