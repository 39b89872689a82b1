import { hash } from 'node:crypto'
import { checksPassed } from '../dry-run.ts'
import { ecdsaToDer } from '../ecdsa-signature.ts'
import { describeOtherThanEd25519ph } from '../ed25519ph.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requireNamedVersion, tokenRef } from '../find-key.ts'
import type { KeyIdentifier, KeyVersion, MasterKey } from '../key.ts'
import { HASH_BYTES, SIGNING_ALGORITHMS, type SigningAlgorithm, type SigningScheme } from '../key-spec.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import { MU_BYTES } from '../ml-dsa.ts'
import { requireAlgorithm, requireUsage } from '../usage.ts'
import { spkiOf, verifyDigest, verifyMessage, verifyMu } from '../verify-signature.ts'
import { callOptions } from './seal-payload.ts'

/** `message`: hashed here, where it is hashed. `digest`: the caller has hashed it. `mu`: representative of a message (ML-DSA). */
export type MessageKind = 'message' | 'digest' | 'mu'

export interface SignInput {
  readonly key: KeyIdentifier
  /** The primary version of the key when absent. */
  readonly versionId?: string | undefined
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
  readonly version: KeyVersion
  /** Of ECDSA in DER. */
  readonly signature: Buffer
}

/**
 * Signs in the token. What tokens were seen to give another signature for, or know by a number that no ratified standard has,
 * is verified before it is given out.
 *
 * @throws {@link KmsError} `UNSUPPORTED`, naming token and mechanism, where the token makes no such signature;
 *   `KEY_VERSION_NOT_FOUND`.
 */
export async function sign(deps: KmsDeps, context: UsingContext, input: SignInput): Promise<Signed> {
  const { key, version, algorithm } = await requireSigningKey(deps, context, 'Sign', input)
  checksPassed(context, 'Sign', key)
  const { scheme } = SIGNING_ALGORITHMS[algorithm]
  const { kind } = input
  const asked = kind === 'mu' ? 'ML_DSA_EXTERNAL_MU' : algorithm
  const data = dataOf(algorithm, input)
  const signature = await deps.provider.sign(tokenRef(key, version), asked, data, callOptions(context))
  if ((kind === 'mu' || scheme === 'eddsa-ph') && !CHECKS[kind](version, algorithm, data, signature))
    throw otherSignature(key, version, kind, data, signature)
  return { key, version, signature: scheme === 'ecdsa' ? ecdsaToDer(signature) : signature }
}

/** What the token is given to sign. */
function dataOf(algorithm: SigningAlgorithm, { kind, message }: SignInput): Buffer {
  const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
  const whole = kind !== 'message' || scheme === 'eddsa' || scheme === 'ml-dsa'
  return whole ? message : hash(hashName, message, 'buffer')
}

const CHECKS = { message: verifyMessage, digest: verifyDigest, mu: verifyMu } as const

/**
 * Verifies with the public key of the version, of which the token is asked once.
 *
 * @throws {@link KmsError} `SIGNATURE_INVALID` when the signature is not the one of this version, algorithm and message;
 *   `KEY_VERSION_NOT_FOUND`.
 */
export async function verify(deps: KmsDeps, context: UsingContext, input: VerifyInput): Promise<MasterKey> {
  const { key, version, algorithm } = await requireSigningKey(deps, context, 'Verify', input)
  checksPassed(context, 'Verify', key)
  await deps.publicKeys.require(tokenRef(key, version), version, callOptions(context))
  const { kind, message, signature } = input
  if (CHECKS[kind](version, algorithm, message, signature)) return key
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
  const version = requireNamedVersion(key, input.versionId)
  requireKind(algorithm, input)
  return { key, version, algorithm }
}

/** What each scheme signs, with the names that callers have for it. */
const KINDS: Readonly<Record<SigningScheme, readonly MessageKind[]>> = {
  'rsa-pkcs1': ['message', 'digest'],
  'rsa-pss': ['message', 'digest'],
  ecdsa: ['message', 'digest'],
  eddsa: ['message'],
  'eddsa-ph': ['digest'],
  'ml-dsa': ['message', 'mu'],
}
const WIRE_NAMES: Readonly<Record<MessageKind, string>> = {
  message: 'RAW',
  digest: 'DIGEST',
  mu: 'EXTERNAL_MU',
}

/** A digest is as long as its hash gives. */
function requireKind(algorithm: SigningAlgorithm, { kind, message }: SignInput): void {
  const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
  const kinds = KINDS[scheme]
  if (!kinds.includes(kind)) {
    const wanted = kinds.map((one) => WIRE_NAMES[one]).join(' or ')
    throw invalid(`Algorithm ${algorithm} requires MessageType ${wanted}.`, 'MessageType')
  }
  if (kind === 'message') return
  const lengthBytes = scheme === 'ml-dsa' ? MU_BYTES : HASH_BYTES[hashName]
  if (message.length !== lengthBytes)
    throw invalid(`Digest is invalid length for algorithm ${algorithm}.`, 'Message')
}

function invalid(message: string, field: string): KmsError<'REQUEST_INVALID'> {
  return new KmsError('REQUEST_INVALID', message, { field })
}

/** SoftHSM 2.6.1 leaves the flag of Ed25519ph out of account and signs plain Ed25519, without an error. */
function otherSignature(
  { token }: MasterKey,
  version: KeyVersion,
  kind: MessageKind,
  data: Buffer,
  signature: Buffer,
): KmsError<'UNSUPPORTED'> {
  const [what, why] =
    kind === 'mu'
      ? ['ML_DSA_SHAKE_256 of EXTERNAL_MU (CKM_ML_DSA_EXTERNAL_MU)', 'its signature does not verify']
      : [
          'ED25519_PH_SHA_512 (CKM_EDDSA with phFlag)',
          describeOtherThanEd25519ph(spkiOf(version), data, signature),
        ]
  const message = `The token "${token}" makes no signatures of algorithm ${what}: ${why}.`
  return new KmsError('UNSUPPORTED', message, {})
}
