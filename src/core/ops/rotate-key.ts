import { type Clock, DAY_MS } from '../../lib/clock.ts'
import { invariant } from '../../lib/invariant.ts'
import { KmsError } from '../errors.ts'
import { pendingVersionOf, requireState, tokenRef } from '../find-key.ts'
import type { KeyVersion, MasterKey, PendingVersion, RotationType } from '../key.ts'
import type { KeyDirectory } from '../key-directory.ts'
import { siblingsOf } from '../multi-region.ts'
import type { CallOptions, CryptoProvider } from '../ports/crypto-provider.ts'
import type { KeyStore } from '../ports/key-store.ts'

/** How often the last step is tried again when the key was changed meanwhile. */
const ADOPT_ATTEMPTS_MAX = 8
/**
 * A version that has been in the making for so long is given up by whoever makes it: its calls of the token end before.
 * Longer, too, than clocks of processes on one store may differ.
 */
const MAKING_MS_MAX = 60_000

/** What rotating a key stands on. */
export interface RotationDeps {
  readonly store: KeyStore
  readonly provider: CryptoProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
  /** A fresh random UUID, lower case. */
  readonly newId: () => string
}

/** What became of a version in the making. */
export type SettledVersion = 'finished' | 'rolledBack' | 'waiting' | 'lost' | 'altered'

/**
 * Gives an enabled key a new version and makes it the primary one; the initial version stays what it is, and every version
 * goes on opening what it sealed. First the row says which version is in the making, then its objects are made and read
 * back, then the row takes it as a version. A crash in between leaves a row from which {@link settleRotation} goes on.
 *
 * @param rotation - What the version will be listed as.
 * @param before - The key as it was read; of several processes that rotate one revision of it, one does.
 * @returns The rotated key; `undefined` when somebody else changed the key first.
 * @throws {@link KmsError} `CONFLICT` when the version took so long to make that it was given up, or the key is being
 *   destroyed; what the provider throws.
 */
export async function rotateKey(
  deps: RotationDeps,
  before: MasterKey,
  rotation: RotationType,
  options: CallOptions,
): Promise<MasterKey | undefined> {
  requireState(before, 'Enabled')
  invariant(!before.pendingVersion, 'one version at a time is made of a key')
  invariant(before.multiRegion !== 'REPLICA', 'replicas have the versions of their primary key')
  // A token that is away costs no row.
  await deps.provider.checkHealth(before.token, undefined, options)
  const pendingVersion: PendingVersion = {
    versionId: deps.newId(),
    state: 'Making',
    rotation,
    createdAt: deps.clock.now(),
  }
  const making = { ...before, pendingVersion, revision: before.revision + 1 }
  if (!(await replace(deps, making))) return undefined
  await deps.provider.createMasterKey(tokenRef(making, requirePending(making)), options)
  return adopt(deps, making, options)
}

/**
 * Goes on where a rotation was cut short: finishes it where the token holds the objects whole (a restored store may show a
 * version so that was sealed with since), and destroys what there is of them where one is missing. Objects that are all there and
 * not as they were made may have been sealed with as well: `altered`, for an operator to look at.
 */
export async function settleRotation(
  deps: RotationDeps,
  key: MasterKey,
  options: CallOptions,
): Promise<SettledVersion> {
  const { pendingVersion } = key
  // The objects of a key that is being destroyed are destroyed with it.
  if (!pendingVersion || key.state === 'Deleting') return 'waiting'
  if (pendingVersion.state === 'Making') {
    if (Math.abs(deps.clock.now() - pendingVersion.createdAt) <= MAKING_MS_MAX) return 'waiting'
    const ref = tokenRef(key, requirePending(key))
    const presence = await deps.provider.findMasterKey(ref, options)
    if (presence === 'altered') return 'altered'
    if (presence === 'present') {
      await adopt(deps, key, options)
      return 'finished'
    }
  }
  return giveUp(deps, key, pendingVersion, options)
}

/** Claimed first: whoever still makes the version finds so that it is given up, and never takes it. */
async function giveUp(
  deps: RotationDeps,
  key: MasterKey,
  pendingVersion: PendingVersion,
  options: CallOptions,
): Promise<SettledVersion> {
  let claimed = key
  if (pendingVersion.state === 'Making') {
    const abandoned: PendingVersion = { ...pendingVersion, state: 'Abandoned' }
    claimed = { ...key, pendingVersion: abandoned, revision: key.revision + 1 }
    if (!(await replace(deps, claimed))) return 'lost'
  }
  await deps.provider.destroyMasterKey(tokenRef(claimed, requirePending(claimed)), options)
  const { pendingVersion: _, ...without } = claimed
  return (await replace(deps, { ...without, revision: claimed.revision + 1 })) ? 'rolledBack' : 'lost'
}

/** Makes the version in the making, whose objects are there, the primary one, whatever else of the key changes meanwhile. */
async function adopt(deps: RotationDeps, making: MasterKey, options: CallOptions): Promise<MasterKey> {
  const version = requirePending(making)
  const type = making.pendingVersion?.rotation ?? 'AUTOMATIC'
  let key: MasterKey | undefined = making
  for (let attempt = 1; attempt <= ADOPT_ATTEMPTS_MAX && mayAdopt(key, version); attempt++) {
    const { pendingVersion: _, ...without }: MasterKey = key
    const at = deps.clock.now()
    const rotation = { type, at }
    const rotated: MasterKey = {
      ...without,
      ...nextSchedule(key, type, at),
      versions: [...key.versions, { ...version, rotation }],
      primaryVersionId: version.versionId,
      revision: key.revision + 1,
    }
    if (await replace(deps, rotated)) return rotated
    key = await deps.store.getKey(making.region, making.keyId)
  }
  if (key?.versions.some(({ versionId }) => versionId === version.versionId)) return key
  // Nobody else knows of objects that came to be after they were given up. A row that still waits for them is settled later.
  if (!mayAdopt(key, version)) await deps.provider.destroyMasterKey(tokenRef(making, version), options)
  throw new KmsError('CONFLICT', 'The new version was given up while it was being made.', {})
}

/**
 * A rotation by the scheduler meets what was due; one on demand leaves the schedule as it is (AWS KMS, "RotateKeyOnDemand"). A key
 * that was off for several periods is rotated once for all of them.
 */
function nextSchedule(
  { rotationSchedule }: MasterKey,
  type: RotationType,
  at: number,
): Pick<MasterKey, 'rotationSchedule'> {
  if (!rotationSchedule || type === 'ON_DEMAND' || rotationSchedule.nextAt > at) return {}
  const periodMs = rotationSchedule.periodDays * DAY_MS
  const onTime = rotationSchedule.nextAt + periodMs
  return { rotationSchedule: { ...rotationSchedule, nextAt: onTime > at ? onTime : at + periodMs } }
}

function mayAdopt(key: MasterKey | undefined, { versionId }: KeyVersion): key is MasterKey {
  if (!key || key.state === 'Deleting' || key.state === 'Deleted') return false
  return key.pendingVersion?.versionId === versionId && key.pendingVersion.state === 'Making'
}

function requirePending(key: MasterKey): KeyVersion {
  const version = pendingVersionOf(key)
  invariant(version, 'the key is being rotated')
  return version
}

async function replace(deps: RotationDeps, key: MasterKey): Promise<boolean> {
  const stored = await deps.store.replaceKey(key)
  await deps.directory.keyChanged(key.region, key.keyId)
  for (const { region } of await siblingsOf(deps.store, key))
    await deps.directory.keyChanged(region, key.keyId)
  return stored
}
