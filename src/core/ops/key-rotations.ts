import { KmsError } from '../errors.ts'
import { requireKey, requireOwnOrigin, requireState } from '../find-key.ts'
import { pendingMaterial } from '../imported-material.ts'
import type { KeyVersion, MasterKey } from '../key.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { refuseReplica, regionsOf } from '../multi-region.ts'
import { beaten, changeKey } from './change-key.ts'
import type { Page, PageInput } from './list-keys.ts'
import { rotateKey } from './rotate-key.ts'
import { newSchedule } from './rotation-schedule.ts'
import { callOptions } from './seal-payload.ts'

/** AWS KMS, "Quotas", on-demand rotations per key. */
const ON_DEMAND_ROTATIONS_MAX = 25
/** How often a rotation is begun again when the key was changed by somebody else meanwhile. */
const ROTATE_ATTEMPTS_MAX = 8

/** How a key is rotated. */
export interface RotationStatus {
  readonly key: MasterKey
  readonly enabled: boolean
  /** Where {@link RotationStatus.enabled}. */
  readonly periodDays?: number
  /** Where {@link RotationStatus.enabled}. Milliseconds since the epoch. */
  readonly nextAt?: number
  /** When the on-demand rotation began that is going on. Milliseconds since the epoch. */
  readonly onDemandSince?: number
}

/**
 * Has the key rotated by itself every `periodDays`, first so many days from now. A schedule of the same period goes on as it is: who
 * asks again and again must not put the rotation off for ever.
 *
 * @throws {@link KmsError} `KEY_NOT_ROTATABLE`
 */
export async function enableKeyRotation(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  periodDays: number,
): Promise<MasterKey> {
  const rotationSchedule = newSchedule(deps.clock, periodDays)
  return changeKey(deps, context, 'EnableKeyRotation', keyId, (before) => {
    requireRotatable(before)
    refuseReplica(before)
    requireOwnOrigin(before)
    requireState(before, 'Enabled')
    if (before.rotationSchedule?.periodDays === periodDays) return before
    return { ...before, rotationSchedule }
  })
}

/** @throws {@link KmsError} `KEY_NOT_ROTATABLE` */
export async function disableKeyRotation(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
): Promise<MasterKey> {
  return changeKey(deps, context, 'DisableKeyRotation', keyId, (before) => {
    requireRotatable(before)
    refuseReplica(before)
    requireOwnOrigin(before)
    requireState(before, 'Enabled')
    if (!before.rotationSchedule) return before
    const { rotationSchedule: _, ...kept } = before
    return kept
  })
}

/** A replica is rotated with its primary key. A key that pends deletion is not rotated, and says so; its schedule is back when the deletion is cancelled. */
export async function getKeyRotationStatus(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
): Promise<RotationStatus> {
  const key = await requireKey(deps, context, 'GetKeyRotationStatus', { kind: 'id', keyId })
  requireOwnOrigin(key)
  const regions = key.multiRegion === 'REPLICA' ? await regionsOf(deps.store, key) : []
  const rotated = regions.find(({ multiRegion }) => multiRegion === 'PRIMARY') ?? key
  const { rotationSchedule, pendingVersion } = rotated
  const pendsDeletion = key.state === 'PendingDeletion' || key.state === 'PendingReplicaDeletion'
  const making = pendingVersion?.state === 'Making' && pendingVersion.rotation === 'ON_DEMAND'
  return {
    key,
    ...(rotationSchedule && !pendsDeletion ? { enabled: true, ...rotationSchedule } : { enabled: false }),
    ...(making && { onDemandSince: pendingVersion.createdAt }),
  }
}

/**
 * Gives the key a new primary version at once; its schedule stays as it is.
 *
 * @throws {@link KmsError} `KEY_NOT_ROTATABLE`; `ROTATIONS_EXHAUSTED`; `ROTATION_IN_PROGRESS`; `CONFLICT`; what the provider throws.
 */
export async function rotateKeyOnDemand(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
): Promise<MasterKey> {
  const busy = () =>
    new KmsError('TOKEN_TIMEOUT', 'Too many keys are being made at the same time.', {
      token: context.trail.token ?? deps.tokenForNewKeys,
    })
  const { accountId, region } = context.principal
  for (let attempt = 1; attempt <= ROTATE_ATTEMPTS_MAX; attempt++) {
    deps.directory.forgetKey(region, keyId)
    const before = await requireKey(deps, context, 'RotateKeyOnDemand', { kind: 'id', keyId })
    requireRotation(before)
    if (before.origin === 'EXTERNAL') return turnToPending(deps, context, keyId)
    const rotate = () => rotateKey(deps, before, 'ON_DEMAND', callOptions(context))
    const rotated = await deps.creations.use(accountId, rotate, busy)
    if (rotated) return rotated
  }
  throw beaten()
}

function requireRotation(key: MasterKey): void {
  const { keyId, versions, pendingVersion } = key
  requireRotatable(key)
  refuseReplica(key)
  requireState(key, 'Enabled')
  if (versions.filter(({ rotation }) => rotation?.type === 'ON_DEMAND').length >= ON_DEMAND_ROTATIONS_MAX)
    throw new KmsError('ROTATIONS_EXHAUSTED', 'The key had all its on-demand rotations.', { keyId })
  if (pendingVersion)
    throw new KmsError('ROTATION_IN_PROGRESS', 'A version of the key is in the making.', { keyId })
}

/**
 * The versions of a key by number: those that a rotation made, or `all` of them.
 *
 * @param page - `after` is a version's number.
 * @throws {@link KmsError} `KEY_NOT_ROTATABLE`
 */
export async function listKeyRotations(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  page: PageInput & { readonly all: boolean },
): Promise<Page<KeyVersion> & { readonly key: MasterKey }> {
  const key = await requireKey(deps, context, 'ListKeyRotations', { kind: 'id', keyId })
  requireRotatable(key)
  const after = Number(page.after ?? 0)
  const listed = key.versions.filter(
    ({ number, rotation, imported }) =>
      number > after && (page.all ? !imported || imported.canary !== undefined : rotation !== undefined),
  )
  const rows = listed.slice(0, page.limit)
  const last = rows.at(-1)
  return listed.length > rows.length && last ? { key, rows, next: `${last.number}` } : { key, rows }
}

/** Material that was imported and waits becomes the current one. */
async function turnToPending(deps: KmsDeps, context: CallContext, keyId: string): Promise<MasterKey> {
  return changeKey(deps, context, 'RotateKeyOnDemand', keyId, (before) => {
    requireRotation(before)
    const pending = pendingMaterial(before)
    if (pending?.imported?.state !== 'Imported')
      throw new KmsError('MATERIAL_NOT_PENDING', 'No material waits for a rotation.', { keyId })
    const rotation = { type: 'ON_DEMAND', at: deps.clock.now() } as const
    const versions = before.versions.map((one) => (one === pending ? { ...one, rotation } : one))
    return { ...before, versions, primaryVersionId: pending.versionId }
  })
}

/** Keys of other specs are not rotated (AWS KMS, "RotateKeyOnDemand"). */
function requireRotatable({ spec, keyId }: MasterKey): void {
  if (spec === 'SYMMETRIC_DEFAULT') return
  throw new KmsError('KEY_NOT_ROTATABLE', 'Only symmetric encryption keys are rotated.', { keyId })
}
