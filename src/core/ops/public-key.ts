import { checksPassed, endDryRun } from '../dry-run.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requirePrimaryVersion, requireState, requireVersion, tokenRef } from '../find-key.ts'
import type { KeyIdentifier, KeyVersion, MasterKey } from '../key.ts'
import { pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import { peerPoint } from '../peer-key.ts'
import { requireAlgorithm, requireUsage } from '../usage.ts'
import { spkiOf } from '../verify-signature.ts'
import { callOptions } from './seal-payload.ts'

export interface PublicKey {
  readonly key: MasterKey
  readonly version: KeyVersion
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer
}

export interface DeriveSharedSecretInput {
  readonly key: KeyIdentifier
  /** By its name in AWS KMS. */
  readonly algorithm: string
  /** SubjectPublicKeyInfo in DER of the other party, 1 to 8192 bytes. */
  readonly publicKey: Buffer
}

export interface SharedSecret {
  readonly key: MasterKey
  /** The abscissa of the shared point; the receiver zeroes it. */
  readonly secret: Buffer
}

/**
 * The public key of a key pair, from the store, of which the token is asked once.
 *
 * @param versionId - The primary version of the key when absent.
 * @throws {@link KmsError} `UNSUPPORTED` of a key that has none; `KEY_VERSION_NOT_FOUND`.
 */
export async function getPublicKey(
  deps: KmsDeps,
  context: CallContext,
  identifier: KeyIdentifier,
  versionId?: string,
): Promise<PublicKey> {
  const key = await requireKey(deps, context, 'GetPublicKey', identifier)
  if (!pairOfSpec(key.spec))
    throw new KmsError('UNSUPPORTED', `A key of spec ${key.spec} has no public key.`, {})
  // A disabled key keeps its public key to itself by the table of key states; AWS KMS was seen to answer all the same.
  requireState(key, 'Enabled', 'Disabled')
  const version = requireVersion(key, versionId ?? key.primaryVersionId)
  endDryRun(context)
  await deps.publicKeys.require(tokenRef(key, version), version, callOptions(context))
  return { key, version, publicKey: spkiOf(version) }
}

/** @throws {@link KmsError} `REQUEST_INVALID` when the other's key is no point of the curve of this one. */
export async function deriveSharedSecret(
  deps: KmsDeps,
  context: UsingContext,
  input: DeriveSharedSecretInput,
): Promise<SharedSecret> {
  const key = await requireKey(deps, context, 'DeriveSharedSecret', input.key)
  requireUsage(key, 'DeriveSharedSecret')
  requireAlgorithm(key, 'agreement', input.algorithm)
  const version = requirePrimaryVersion(key)
  const point = peerPoint(key.spec, input.publicKey)
  checksPassed(context, 'DeriveSharedSecret', key)
  const secret = await deps.provider.deriveSecret(tokenRef(key, version), point, callOptions(context))
  return { key, secret }
}
