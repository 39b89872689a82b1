import { authorize } from '../authorize/authorize.ts'
import { KmsError } from '../errors.ts'
import { tokenRef } from '../find-key.ts'
import { type KeyVersion, type MasterKey, MULTI_REGION_ID_PREFIX } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { type AttachmentsInput, attachmentsOf } from './attachments.ts'
import { requirePolicy } from './key-policies.ts'
import { callOptions } from './seal-payload.ts'
import { requireTags } from './tags.ts'

export interface CreateKeyInput extends AttachmentsInput {
  /** Of the kind that `multiRegion` says, and nothing had it before; a random one when absent. Of the operator's seed alone: no API names ids. */
  readonly keyId?: string | undefined
  /** At most 8192 characters; the façades have refused longer ones. */
  readonly description?: string | undefined
  /** Whether other regions may come to have it too. */
  readonly multiRegion?: boolean | undefined
}

/**
 * Makes a master key: a row in state `Creating`, then the token objects, then `Enabled`. A crash between leaves a row
 * that maintenance finishes or rolls back, never a key that decrypts nothing.
 */
export async function createKey(
  deps: KmsDeps,
  context: CallContext,
  input: CreateKeyInput,
): Promise<MasterKey> {
  authorize(context.principal, 'CreateKey')
  requireTags(input.tags ?? [])
  const token = deps.tokenForNewKeys
  const busy = () =>
    new KmsError('TOKEN_TIMEOUT', 'Too many keys are being created at the same time.', { token })
  return deps.creations.use(context.principal.accountId, () => createWithin(deps, context, input), busy)
}

async function createWithin(deps: KmsDeps, context: CallContext, input: CreateKeyInput): Promise<MasterKey> {
  const creating = newMasterKey(deps, context, input)
  const [version] = creating.versions
  if (input.policy) requirePolicy(context.principal, creating, input.policy)
  // A token that is away costs an answer, not a row.
  await deps.provider.checkHealth(deps.tokenForNewKeys, undefined, callOptions(context))
  context.trail.keyId = creating.keyId
  context.trail.token = creating.token
  await deps.store.createKey(creating, attachmentsOf(input))
  await deps.provider.createMasterKey(tokenRef(creating, version), callOptions(context))
  return await enable(deps, creating)
}

/** Ends a creation whose objects are in the token. */
export async function enable(deps: KmsDeps, creating: MasterKey): Promise<MasterKey> {
  const enabled: MasterKey = { ...creating, state: 'Enabled', revision: creating.revision + 1 }
  const stored = await deps.store.replaceKey(enabled)
  await deps.directory.keyChanged(enabled.region, enabled.keyId)
  return stored ? enabled : await requireFinished(deps, enabled)
}

/** Maintenance was first: it has finished the creation, or rolled it back. */
async function requireFinished(deps: KmsDeps, { region, keyId }: MasterKey): Promise<MasterKey> {
  const key = await deps.directory.getKey(region, keyId)
  if (key?.state === 'Enabled') return key
  throw new KmsError(
    'CONFLICT',
    'The key took too long to make and was rolled back; nothing was created.',
    {},
  )
}

function newMasterKey(
  deps: KmsDeps,
  context: CallContext,
  input: CreateKeyInput,
): MasterKey & { readonly versions: readonly [KeyVersion] } {
  const createdAt = deps.clock.now()
  const version: KeyVersion = { versionId: deps.newId(), number: 1, createdAt }
  return {
    keyId: input.keyId ?? (input.multiRegion ? multiRegionId(deps.newId()) : deps.newId()),
    ...(input.multiRegion && { multiRegion: 'PRIMARY' as const }),
    accountId: context.principal.accountId,
    region: context.principal.region,
    token: deps.tokenForNewKeys,
    spec: 'SYMMETRIC_DEFAULT',
    usage: 'ENCRYPT_DECRYPT',
    state: 'Creating',
    description: input.description ?? '',
    createdAt,
    versions: [version],
    primaryVersionId: version.versionId,
    revision: 1,
  }
}

/** `mrk-` and the 32 hexadecimal digits of a UUID. */
function multiRegionId(uuid: string): string {
  return MULTI_REGION_ID_PREFIX + uuid.replaceAll('-', '')
}
