import { invariant } from '../../lib/invariant.ts'
import { isAliasName } from '../alias.ts'
import { isKmsError, KmsError } from '../errors.ts'
import { aliasNotFound, isVisible, requireKey, requireState } from '../find-key.ts'
import type { KeyIdentifier, MasterKey } from '../key.ts'
import { kindOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'

export async function createAlias(
  deps: KmsDeps,
  context: CallContext,
  name: string,
  target: KeyIdentifier,
): Promise<void> {
  invariant(isAliasName(name), 'the façade lets an ill-formed alias through')
  const key = await requireKey(deps, context, 'CreateAlias', target)
  requireState(key, 'Enabled', 'Disabled', 'PendingImport')
  const { accountId, region } = context.principal
  const now = deps.clock.now()
  await deps.store.createAlias({ accountId, region, name, keyId: key.keyId, createdAt: now, updatedAt: now })
  await deps.directory.aliasChanged(accountId, region, name)
}

export interface UpdateAliasOptions {
  /** Whether the key must be of the kind (symmetric, asymmetric or MAC) and the usage of the one that the alias leaves. */
  readonly sameKind?: boolean
}

/** @throws {@link KmsError} `REQUEST_INVALID` for a key of another kind or usage, where that is asked for. */
export async function updateAlias(
  deps: KmsDeps,
  context: CallContext,
  name: string,
  target: KeyIdentifier,
  { sameKind = false }: UpdateAliasOptions = {},
): Promise<void> {
  const { accountId, region } = context.principal
  const key = await requireKey(deps, context, 'UpdateAlias', target)
  requireState(key, 'Enabled', 'Disabled', 'PendingImport')
  const alias = await deps.store.getAlias(accountId, region, name)
  if (alias && sameKind) requireSameKind(await deps.directory.getKey(region, alias.keyId), key)
  const moved = alias && { ...alias, keyId: key.keyId, updatedAt: deps.clock.now() }
  const updated = moved !== undefined && (await deps.store.updateAlias(moved))
  await deps.directory.aliasChanged(accountId, region, name)
  if (!updated) throw aliasNotFound(name)
}

/** A key that nobody may learn of any more is nothing to compare with. */
function requireSameKind(left: MasterKey | undefined, key: MasterKey): void {
  if (!left || !isVisible(left.state)) return
  const [from, to] = [left, key].map(({ spec, usage }) => `type ${kindOfSpec(spec)}, usage ${usage}`)
  if (from === to) return
  const message = `An alias of a key of ${from} cannot be moved to one of ${to}: delete it and create it anew.`
  throw new KmsError('REQUEST_INVALID', message, { field: 'TargetKeyId' })
}

/** An alias belongs to its account: one whose key nobody may learn of any more can go as well. */
export async function deleteAlias(deps: KmsDeps, context: CallContext, name: string): Promise<void> {
  const { accountId, region } = context.principal
  const alias = await deps.store.getAlias(accountId, region, name)
  if (!alias) throw aliasNotFound(name)
  await requireKey(deps, context, 'DeleteAlias', { kind: 'id', keyId: alias.keyId }).catch(
    (error: unknown) => {
      if (!isKmsError(error, 'KEY_NOT_FOUND')) throw error
    },
  )
  const deleted = await deps.store.deleteAlias(accountId, region, name)
  await deps.directory.aliasChanged(accountId, region, name)
  if (!deleted) throw aliasNotFound(name)
}
