import { KmsError } from '../errors.ts'
import { requireKey, requireState } from '../find-key.ts'
import type { MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { type AttachmentsInput, attachmentsOf } from './attachments.ts'
import { beaten, CHANGE_ATTEMPTS_MAX } from './change-key.ts'
import { requirePolicy } from './key-policies.ts'
import { requireTags } from './tags.ts'

export interface ReplicateKeyInput extends AttachmentsInput {
  readonly keyId: string
  /** Region that gets the replica. */
  readonly region: string
  /** At most 8192 characters; of the replica alone. */
  readonly description?: string | undefined
}

/**
 * Gives another region a key with the id, the versions and the material of a primary key. Material stays where it is, in the
 * token that every region uses: one change of the store makes the replica, whole and enabled.
 */
export async function replicateKey(
  deps: KmsDeps,
  context: CallContext,
  input: ReplicateKeyInput,
): Promise<MasterKey> {
  requireServed(deps, input.region)
  requireTags(input.tags ?? [])
  const { keyId, region } = input
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_MAX; attempt++) {
    const primary = await requirePrimary(deps, context, 'ReplicateKey', keyId)
    if (region === primary.region) throw alreadyThere(keyId, region)
    if (input.policy) requirePolicy({ ...context.principal, region }, primary, input.policy)
    const earlier = await deps.store.getKey(region, keyId)
    if (earlier && earlier.state !== 'Deleted') throw alreadyThere(keyId, region)
    const replica = replicaOf(primary, input, deps.clock.now(), (earlier?.revision ?? 0) + 1)
    const claimed = { ...primary, revision: primary.revision + 1 }
    const stored = await deps.store.addReplica(claimed, replica, attachmentsOf(input))
    await Promise.all([claimed, replica].map((key) => deps.directory.keyChanged(key.region, keyId)))
    // A replica that was there before may have had a policy.
    await deps.directory.policyChanged(region, keyId)
    if (stored) return replica
  }
  throw beaten()
}

function replicaOf(
  primary: MasterKey,
  { region, description = '' }: ReplicateKeyInput,
  createdAt: number,
  revision: number,
): MasterKey {
  const { keyId, accountId, token, spec, usage, versions, primaryVersionId } = primary
  return {
    keyId,
    accountId,
    token,
    spec,
    usage,
    versions,
    primaryVersionId,
    region,
    state: 'Enabled',
    description,
    createdAt,
    multiRegion: 'REPLICA',
    revision,
  }
}

/**
 * Makes the replica in `region` the primary key, which takes over its schedule of rotations, and the primary key a replica, in one change.
 *
 * @throws {@link KmsError} `CONFLICT` while the key is being rotated.
 */
export async function updatePrimaryRegion(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  region: string,
): Promise<void> {
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_MAX; attempt++) {
    const former = await requirePrimary(deps, context, 'UpdatePrimaryRegion', keyId)
    if (region === former.region)
      throw new KmsError('REQUEST_INVALID', `The primary key is in ${region} already.`, {
        field: 'PrimaryRegion',
      })
    const replica = await deps.store.getKey(region, keyId)
    if (!replica || replica.state === 'Deleting' || replica.state === 'Deleted')
      throw new KmsError('KEY_NOT_FOUND', `There is no replica in ${region}.`, { keyId, region })
    requireState(replica, 'Enabled')
    if (former.pendingVersion) throw beaten()
    const { rotationSchedule, ...kept } = former
    const changed = [
      { ...kept, multiRegion: 'REPLICA' as const, revision: former.revision + 1 },
      {
        ...replica,
        ...(rotationSchedule && { rotationSchedule }),
        multiRegion: 'PRIMARY' as const,
        revision: replica.revision + 1,
      },
    ]
    const stored = await deps.store.replaceKeys(changed)
    await Promise.all(changed.map((key) => deps.directory.keyChanged(key.region, keyId)))
    if (stored) return
  }
  throw beaten()
}

async function requirePrimary(
  deps: KmsDeps,
  context: CallContext,
  action: 'ReplicateKey' | 'UpdatePrimaryRegion',
  keyId: string,
): Promise<MasterKey> {
  deps.directory.forgetKey(context.principal.region, keyId)
  const key = await requireKey(deps, context, action, { kind: 'id', keyId })
  if (key.multiRegion !== 'PRIMARY')
    throw new KmsError('KEY_NOT_PRIMARY', `Key '${keyId}' is no primary key of several regions.`, { keyId })
  requireState(key, 'Enabled')
  return key
}

function requireServed(deps: KmsDeps, region: string): void {
  if (deps.regions.includes(region)) return
  const message = `The region ${region} is not served here.`
  throw new KmsError('REQUEST_INVALID', message, { field: 'ReplicaRegion' })
}

function alreadyThere(keyId: string, region: string): KmsError<'ALREADY_EXISTS'> {
  return new KmsError('ALREADY_EXISTS', `Key '${keyId}' exists in ${region} already.`, { keyId, region })
}
