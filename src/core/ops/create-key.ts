import { invariant } from '../../lib/invariant.ts'
import { authorize } from '../authorize/authorize.ts'
import { isKmsError, KmsError } from '../errors.ts'
import { tokenRef } from '../find-key.ts'
import {
  type KeyOrigin,
  type KeySpec,
  type KeyUsage,
  type KeyVersion,
  type MasterKey,
  MULTI_REGION_ID_PREFIX,
} from '../key.ts'
import { pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { CallOptions } from '../ports/crypto-provider.ts'
import { isUndriven, type UndrivenKeySpec, undrivenSpec } from '../undriven-specs.ts'
import { type AttachmentsInput, attachmentsOf } from './attachments.ts'
import { inTime } from './in-time.ts'
import { requirePolicy } from './key-policies.ts'
import { newSchedule } from './rotation-schedule.ts'
import { callOptions } from './seal-payload.ts'
import { requireTags } from './tags.ts'

export interface CreateKeyInput extends AttachmentsInput {
  /** Of the kind that `multiRegion` says, and nothing had it before; a random one when absent. Of the operator's seed alone: no API names ids. */
  readonly keyId?: string | undefined
  /** At most 8192 characters; the façades have refused longer ones. */
  readonly description?: string | undefined
  /** Whether other regions may come to have it too. */
  readonly multiRegion?: boolean | undefined
  /** Symmetric when absent. */
  readonly spec?: KeySpec | UndrivenKeySpec | undefined
  /** One that the spec allows, which the façades have seen to; what a symmetric key is for when absent. */
  readonly usage?: KeyUsage | undefined
  /** How long a key pair waits while the token makes others; 0 to be refused at once. Milliseconds. */
  readonly waitMs?: number | undefined
  /** `AWS_KMS` when absent. */
  readonly origin?: KeyOrigin | undefined
  readonly protectionLevel?: MasterKey['protectionLevel']
  /** Has the key rotated by itself, as `enableKeyRotation` would; of a symmetric key that the token makes alone. */
  readonly rotationPeriodDays?: number | undefined
}

/** How long undoing a creation may take. Milliseconds. */
const ROLL_BACK_TIMEOUT_MS = 10_000

type NewKey = MasterKey & { readonly versions: readonly [KeyVersion] }

/**
 * Makes a master key: a row in state `Creating`, then the token objects, then `Enabled`. A crash between leaves a row
 * that maintenance finishes or rolls back, never a key that decrypts nothing. A key that the token is unable to make, or made
 * after its caller was told that it took too long, is rolled back at once.
 *
 * @throws {@link KmsError} `UNSUPPORTED` when the token cannot make such a key; `TOKEN_BUSY`.
 */
export async function createKey(
  deps: KmsDeps,
  context: CallContext,
  input: CreateKeyInput,
): Promise<MasterKey> {
  authorize(context.principal, 'CreateKey')
  requireTags(input.tags ?? [])
  const token = deps.tokenForNewKeys
  const { spec = 'SYMMETRIC_DEFAULT', usage = 'ENCRYPT_DECRYPT' } = input
  if (isUndriven(spec)) throw undrivenSpec(token, spec)
  const made = { ...input, spec, usage }
  if (input.origin === 'EXTERNAL') return createExternal(deps, context, made)
  const busy = () =>
    new KmsError('TOKEN_TIMEOUT', 'Too many keys are being created at the same time.', { token })
  return deps.creations.use(
    context.principal.accountId,
    () =>
      pairOfSpec(spec)
        ? createPair(deps, context, made, input.waitMs ?? 0)
        : createWithin(deps, context, made, callOptions(context)),
    busy,
  )
}

/** A place for material that its owner brings: a row alone. */
async function createExternal(deps: KmsDeps, context: CallContext, input: MadeInput): Promise<MasterKey> {
  if (input.multiRegion)
    throw new KmsError('UNSUPPORTED', 'A multi-region key has no imported material here.', {})
  if (pairOfSpec(input.spec)?.kind === 'ml-dsa')
    throw new KmsError('UNSUPPORTED', `A key of spec ${input.spec} has no imported material here.`, {})
  const blank = newMasterKey(deps, context, input)
  const imported = { state: 'PendingImport', since: blank.createdAt } as const
  const versions = blank.versions.map((version) => ({ ...version, imported }))
  const key: MasterKey = { ...blank, origin: 'EXTERNAL', state: 'PendingImport', versions }
  context.trail.keyId = key.keyId
  context.trail.token = key.token
  if (input.policy) requirePolicy(context.principal, key, input.policy)
  await deps.store.createKey(key, attachmentsOf(input))
  await deps.directory.keyChanged(key.region, key.keyId)
  return key
}

/** A token makes one pair at a time; what it makes too late for the caller is undone. */
async function createPair(
  deps: KmsDeps,
  context: CallContext,
  input: MadeInput,
  waitMs: number,
): Promise<MasterKey> {
  const token = deps.tokenForNewKeys
  const leftMs = context.deadlineAt - Date.now()
  const { accountId } = context.principal
  const work = deps.pairs.use({ token, accountId }, Math.min(waitMs, leftMs), (deadlineAt) =>
    createWithin(deps, context, input, { deadlineAt, timings: context.trail.timings }),
  )
  return inTime(work, context.deadlineAt, token)
}

interface MadeInput extends CreateKeyInput {
  readonly spec: KeySpec
  readonly usage: KeyUsage
}

async function createWithin(
  deps: KmsDeps,
  context: CallContext,
  input: MadeInput,
  options: CallOptions,
): Promise<MasterKey> {
  const creating = newMasterKey(deps, context, input)
  if (input.policy) requirePolicy(context.principal, creating, input.policy)
  // A token that is away costs an answer, not a row.
  await deps.provider.checkHealth(deps.tokenForNewKeys, undefined, callOptions(context))
  context.trail.keyId = creating.keyId
  context.trail.token = creating.token
  await deps.store.createKey(creating, attachmentsOf(input))
  const version = await makeVersion(deps, creating, options, input.keyId === undefined)
  // An id that was asked for never comes again: who asked comes back for it.
  if (Date.now() > context.deadlineAt && input.keyId === undefined) {
    await rollBack(deps, creating)
    throw new KmsError('TOKEN_TIMEOUT', 'The token did not make the key in time.', { token: creating.token })
  }
  return await enable(deps, { ...creating, versions: [version], ...scheduleOf(deps, input) })
}

/** With the key itself, so that no key comes to be without the rotation that was asked for. */
function scheduleOf(
  { clock }: KmsDeps,
  { rotationPeriodDays, spec, origin }: MadeInput,
): Pick<MasterKey, 'rotationSchedule'> {
  if (rotationPeriodDays === undefined) return {}
  invariant(
    spec === 'SYMMETRIC_DEFAULT' && origin !== 'EXTERNAL',
    'a key that is not rotated has no schedule',
  )
  return { rotationSchedule: newSchedule(clock, rotationPeriodDays) }
}

/** Ends a creation whose objects are in the token. */
export async function enable(deps: KmsDeps, creating: MasterKey): Promise<MasterKey> {
  const enabled: MasterKey = { ...creating, state: 'Enabled', revision: creating.revision + 1 }
  const stored = await deps.store.replaceKey(enabled)
  await deps.directory.keyChanged(enabled.region, enabled.keyId)
  return stored ? enabled : await requireFinished(deps, creating)
}

/** @returns The version, with its public key where it is a key pair. */
async function makeVersion(
  deps: KmsDeps,
  creating: NewKey,
  options: CallOptions,
  mayRollBack: boolean,
): Promise<KeyVersion> {
  const [version] = creating.versions
  try {
    const { publicKey } = await deps.provider.createMasterKey(tokenRef(creating, version), options)
    if (!publicKey) return version
    const made = { ...version, publicKey: publicKey.toString('base64') }
    deps.publicKeys.note(made)
    return made
  } catch (error) {
    if (mayRollBack && isKmsError(error, 'UNSUPPORTED')) await rollBack(deps, creating)
    throw error
  }
}

/** As maintenance does, which finishes it where it fails here. Nothing was ever told of the key. */
async function rollBack(deps: KmsDeps, creating: NewKey): Promise<void> {
  const deleting: MasterKey = { ...creating, state: 'Deleting', revision: creating.revision + 1 }
  try {
    if (await deps.store.replaceKey(deleting)) {
      await destroy(deps, creating)
      await deps.store.replaceKey({ ...deleting, state: 'Deleted', revision: deleting.revision + 1 })
    } else await destroyIfGivenUp(deps, creating)
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
  } finally {
    await deps.directory.keyChanged(creating.region, creating.keyId)
  }
}

async function destroy({ provider }: KmsDeps, creating: MasterKey): Promise<void> {
  const options = { deadlineAt: Date.now() + ROLL_BACK_TIMEOUT_MS }
  for (const version of creating.versions)
    await provider.destroyMasterKey(tokenRef(creating, version), options)
}

/** Nobody else knows of objects that came to be after maintenance had given them up. */
async function destroyIfGivenUp(deps: KmsDeps, creating: MasterKey): Promise<void> {
  const key = await deps.store.getKey(creating.region, creating.keyId)
  if (key?.state === 'Deleting' || key?.state === 'Deleted') await destroy(deps, creating)
}

/** Maintenance was first: it has finished the creation, or rolled it back. */
async function requireFinished(deps: KmsDeps, creating: MasterKey): Promise<MasterKey> {
  const key = await deps.directory.getKey(creating.region, creating.keyId)
  if (key?.state === 'Enabled') return key
  await destroyIfGivenUp(deps, creating)
  throw new KmsError(
    'CONFLICT',
    'The key took too long to make and was rolled back; nothing was created.',
    {},
  )
}

function newMasterKey(deps: KmsDeps, context: CallContext, input: MadeInput): NewKey {
  const createdAt = deps.clock.now()
  const version: KeyVersion = { versionId: deps.newId(), number: 1, createdAt }
  return {
    keyId: input.keyId ?? (input.multiRegion ? multiRegionId(deps.newId()) : deps.newId()),
    ...(input.multiRegion && { multiRegion: 'PRIMARY' as const }),
    ...(input.protectionLevel && { protectionLevel: input.protectionLevel }),
    accountId: context.principal.accountId,
    region: context.principal.region,
    token: deps.tokenForNewKeys,
    spec: input.spec,
    usage: input.usage,
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
