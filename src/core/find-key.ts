import { authorize, type KmsAction } from './authorize/authorize.ts'
import { KmsError } from './errors.ts'
import { requireGrantTokens } from './grant-tokens.ts'
import type { KeyIdentifier, KeyState, KeyVersion, MasterKey } from './key.ts'
import { isSymmetric } from './key-spec.ts'
import type { CallContext, KmsDeps } from './kms-context.ts'
import type { MasterKeyRef } from './ports/crypto-provider.ts'

const VISIBLE: readonly KeyState[] = [
  'PendingImport',
  'Enabled',
  'Disabled',
  'PendingDeletion',
  'PendingReplicaDeletion',
]

/** Whether callers may learn of a key in this state. */
export function isVisible(state: KeyState): boolean {
  return VISIBLE.includes(state)
}

/**
 * The key that a caller names, authorized for `action`.
 *
 * @throws {@link KmsError} `KEY_NOT_FOUND` (other accounts' keys included: their existence is not told),
 *   `ALIAS_NOT_FOUND`, `GRANT_TOKEN_INVALID`, `ACCESS_DENIED`.
 */
export async function requireKey(
  deps: KmsDeps,
  context: CallContext,
  action: KmsAction,
  identifier: KeyIdentifier,
): Promise<MasterKey> {
  const { accountId, region } = context.principal
  const keyId =
    identifier.kind === 'id' ? identifier.keyId : await requireAliasTarget(deps, context, identifier.alias)
  const key = await deps.directory.getKey(region, keyId)
  if (!key || key.accountId !== accountId || !isVisible(key.state)) throw keyNotFound(keyId)
  context.trail.keyId = key.keyId
  context.trail.token = key.token
  if (context.grantTokens) await requireGrantTokens(deps, context)
  authorize(context.principal, action, key)
  return key
}

async function requireAliasTarget(deps: KmsDeps, context: CallContext, name: string): Promise<string> {
  const { accountId, region } = context.principal
  const alias = await deps.directory.getAlias(accountId, region, name)
  if (!alias) throw aliasNotFound(name)
  return alias.keyId
}

function keyNotFound(keyId: string): KmsError<'KEY_NOT_FOUND'> {
  return new KmsError('KEY_NOT_FOUND', `Key '${keyId}' does not exist.`, { keyId })
}

export function aliasNotFound(alias: string): KmsError<'ALIAS_NOT_FOUND'> {
  return new KmsError('ALIAS_NOT_FOUND', `Alias '${alias}' is not found.`, { alias })
}

/**
 * Refuses a key whose state is not one of `allowed`.
 *
 * @throws {@link KmsError} `KEY_STATE_INVALID`
 */
export function requireState(key: MasterKey, ...allowed: readonly KeyState[]): void {
  if (allowed.includes(key.state)) return
  const { keyId, region, state } = key
  const details = { keyId, region, state, allowed }
  throw new KmsError('KEY_STATE_INVALID', `Key '${keyId}' is in state ${state}.`, details)
}

/**
 * Refuses a key that waits for its destruction.
 *
 * @throws {@link KmsError} `KEY_STATE_INVALID`
 */
export function requireLasting(key: MasterKey): void {
  requireState(
    key,
    ...VISIBLE.filter((state) => state !== 'PendingDeletion' && state !== 'PendingReplicaDeletion'),
  )
}

/**
 * Refuses a key whose owner gives it its material.
 *
 * @throws {@link KmsError} `KEY_ORIGIN_INVALID`
 */
export function requireOwnOrigin({ keyId, origin = 'AWS_KMS' }: MasterKey): void {
  if (origin === 'AWS_KMS') return
  throw new KmsError('KEY_ORIGIN_INVALID', 'The material of the key is imported.', { keyId, origin })
}

/**
 * The version of a key that new payloads are sealed with.
 *
 * @throws {@link KmsError} `KEY_STATE_INVALID` unless the key is enabled.
 */
export function requirePrimaryVersion(key: MasterKey): KeyVersion {
  requireState(key, 'Enabled')
  return requireVersion(key, key.primaryVersionId)
}

/**
 * The version of a key pair that an operation is done with: the one that the caller names, or else the primary one.
 *
 * @throws {@link KmsError} `KEY_STATE_INVALID` unless the key is enabled; `KEY_VERSION_NOT_FOUND`.
 */
export function requireNamedVersion(key: MasterKey, versionId: string | undefined): KeyVersion {
  const primary = requirePrimaryVersion(key)
  return versionId === undefined ? primary : requireVersion(key, versionId)
}

/** @throws {@link KmsError} `KEY_VERSION_NOT_FOUND` */
export function requireVersion(key: MasterKey, versionId: string): KeyVersion {
  const version = key.versions.find((candidate) => candidate.versionId === versionId)
  if (version) return version
  throw new KmsError('KEY_VERSION_NOT_FOUND', `Key '${key.keyId}' has no such version.`, { keyId: key.keyId })
}

/** The version in the making, as it will be when it is one; `undefined` when there is none. */
export function pendingVersionOf({ versions, pendingVersion }: MasterKey): KeyVersion | undefined {
  if (!pendingVersion) return undefined
  const { versionId, createdAt } = pendingVersion
  return { versionId, number: versions.length + 1, createdAt }
}

/** Where the material of a version is. */
export function tokenRef(key: MasterKey, version: KeyVersion): MasterKeyRef {
  const { token, keyId, spec, usage } = key
  const { versionId, number, imported } = version
  const importId = imported?.importId
  const ref = {
    token,
    keyId,
    versionId,
    versionNumber: number,
    ...(importId !== undefined && { importId }),
  }
  return isSymmetric(spec) ? ref : { ...ref, spec, usage }
}
