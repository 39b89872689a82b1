import { type Clock, DAY_MS } from '../../lib/clock.ts'
import { invariant } from '../../lib/invariant.ts'
import { isKmsError, KmsError } from '../errors.ts'
import { pendingVersionOf, requireState, tokenRef } from '../find-key.ts'
import type { KeyVersion, MasterKey, PendingVersion, RotationType } from '../key.ts'
import type { KeyDirectory } from '../key-directory.ts'
import { pairOfSpec } from '../key-spec.ts'
import { siblingsOf } from '../multi-region.ts'
import type { CallOptions, CryptoProvider, MadeMaterial } from '../ports/crypto-provider.ts'
import type { KeyStore } from '../ports/key-store.ts'

/** How often the last step is tried again when the key was changed meanwhile. */
const ADOPT_ATTEMPTS_MAX = 8
/**
 * A version that has been in the making for so long is given up by whoever makes it: its calls of the token end before.
 * Longer, too, than clocks of processes on one store may differ. A key pair has what its generation may take besides.
 */
const MAKING_MS_MAX = 60_000
/** How long undoing what came too late may take. Milliseconds. */
const TAKE_BACK_TIMEOUT_MS = 10_000

/** What rotating a key stands on. */
export interface RotationDeps {
  readonly store: KeyStore
  readonly provider: CryptoProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
  /** A fresh random UUID, lower case. */
  readonly newId: () => string
}

/** What settling what was cut short stands on. */
export interface SettleDeps extends RotationDeps {
  /** How long one generation of a key pair may take in a token, of that name. Milliseconds. */
  readonly pairTimeoutMs: (token: string) => number
}

/** What a version is made for. */
export interface WantedVersion {
  /** The rotation that makes it the primary one; absent of a key pair, whose primary version stays. */
  readonly rotation?: RotationType
  /** After that it is taken back, because nobody waits for it any more. Milliseconds since the epoch, `Date.now()`. */
  readonly adoptBy?: number
}

/** What became of a version in the making. */
export type SettledVersion = 'finished' | 'rolledBack' | 'waiting' | 'lost' | 'altered'

/**
 * Gives an enabled key a new version and makes it the primary one; the initial version stays what it is, and every version
 * goes on opening what it sealed.
 *
 * @param rotation - What the version will be listed as.
 * Otherwise as {@link addVersion}.
 */
export function rotateKey(
  deps: RotationDeps,
  before: MasterKey,
  rotation: RotationType,
  options: CallOptions,
): Promise<MasterKey | undefined> {
  return addVersion(deps, before, { rotation }, options)
}

/**
 * Gives an enabled key a new version. First the row says which version is in the making, then its objects are made and read
 * back, then the row takes it as a version. A crash in between leaves a row from which {@link settleRotation} goes on.
 *
 * @param before - The key as it was read; of several processes that add to one revision of it, one does.
 * @param options - Of a key pair, the gate of its token is the caller's to keep.
 * @returns The key with the version; `undefined` when somebody else changed the key first.
 * @throws {@link KmsError} `CONFLICT` when the version took so long to make that it was given up, or the key is being
 *   destroyed; `TOKEN_TIMEOUT` when it was made after `wanted.adoptBy`; what the provider throws.
 */
export async function addVersion(
  deps: RotationDeps,
  before: MasterKey,
  { rotation, adoptBy = Number.POSITIVE_INFINITY }: WantedVersion,
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
    ...(rotation && { rotation }),
    createdAt: deps.clock.now(),
  }
  const making = { ...before, pendingVersion, revision: before.revision + 1 }
  if (!(await replace(deps, making))) return undefined
  const made = await makeObjects(deps, making, options)
  if (Date.now() > adoptBy) {
    await takeBack(deps, making)
    throw new KmsError('TOKEN_TIMEOUT', 'The token did not make the key in time.', { token: making.token })
  }
  return adopt(deps, making, made, options)
}

async function makeObjects(
  deps: RotationDeps,
  making: MasterKey,
  options: CallOptions,
): Promise<MadeMaterial> {
  try {
    return await deps.provider.createMasterKey(tokenRef(making, requirePending(making)), options)
  } catch (error) {
    // Nothing is left in the token then, and no later call would have it otherwise.
    if (isKmsError(error, 'UNSUPPORTED')) await takeBack(deps, making)
    throw error
  }
}

/** Nothing was ever told of the version. Where this fails, {@link settleRotation} goes on. */
async function takeBack(deps: RotationDeps, making: MasterKey): Promise<void> {
  const version = requirePending(making)
  const options = { deadlineAt: Date.now() + TAKE_BACK_TIMEOUT_MS }
  try {
    let key: MasterKey | undefined = making
    for (let attempt = 1; attempt <= ADOPT_ATTEMPTS_MAX && mayAdopt(key, version); attempt++) {
      if ((await giveUp(deps, key, options)) !== 'lost') return
      key = await deps.store.getKey(making.region, making.keyId)
    }
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
  }
}

/**
 * Goes on where a rotation was cut short: finishes it where the token holds the objects whole (a restored store may show a
 * version so that was sealed with since), and destroys what there is of them where one is missing. Objects that are all there and
 * not as they were made may have been sealed with as well: `altered`, for an operator to look at.
 */
export async function settleRotation(
  deps: SettleDeps,
  key: MasterKey,
  options: CallOptions,
): Promise<SettledVersion> {
  const { pendingVersion } = key
  // The objects of a key that is being destroyed are destroyed with it.
  if (!pendingVersion || key.state === 'Deleting') return 'waiting'
  if (pendingVersion.state === 'Making') {
    const isPair = pairOfSpec(key.spec) !== undefined
    const makingMsMax = MAKING_MS_MAX + (isPair ? deps.pairTimeoutMs(key.token) : 0)
    if (Math.abs(deps.clock.now() - pendingVersion.createdAt) <= makingMsMax) return 'waiting'
    const ref = tokenRef(key, requirePending(key))
    const presence = await deps.provider.findMasterKey(ref, options)
    if (presence === 'altered') return 'altered'
    if (presence === 'present') {
      const found = isPair ? { publicKey: await deps.provider.readPublicKey(ref, options) } : {}
      await adopt(deps, key, found, options)
      return 'finished'
    }
  }
  return giveUp(deps, key, options)
}

/** Claimed first: whoever still makes the version finds so that it is given up, and never takes it. */
async function giveUp(
  deps: RotationDeps,
  key: MasterKey,
  options: CallOptions,
): Promise<'rolledBack' | 'lost'> {
  let claimed = key
  if (key.pendingVersion?.state === 'Making') {
    const abandoned: PendingVersion = { ...key.pendingVersion, state: 'Abandoned' }
    claimed = { ...key, pendingVersion: abandoned, revision: key.revision + 1 }
    if (!(await replace(deps, claimed))) return 'lost'
  }
  await deps.provider.destroyMasterKey(tokenRef(claimed, requirePending(claimed)), options)
  const { pendingVersion: _, ...without } = claimed
  return (await replace(deps, { ...without, revision: claimed.revision + 1 })) ? 'rolledBack' : 'lost'
}

/** Makes the version in the making, whose objects are there, one of the key, whatever else of the key changes meanwhile. */
async function adopt(
  deps: RotationDeps,
  making: MasterKey,
  { publicKey }: MadeMaterial,
  options: CallOptions,
): Promise<MasterKey> {
  const version = {
    ...requirePending(making),
    ...(publicKey && { publicKey: publicKey.toString('base64') }),
  }
  let key: MasterKey | undefined = making
  for (let attempt = 1; attempt <= ADOPT_ATTEMPTS_MAX && mayAdopt(key, version); attempt++) {
    const adopted = withVersion(key, version, deps.clock.now())
    if (await replace(deps, adopted)) return adopted
    key = await deps.store.getKey(making.region, making.keyId)
  }
  if (key?.versions.some(({ versionId }) => versionId === version.versionId)) return key
  // Nobody else knows of objects that came to be after they were given up. A row that still waits for them is settled later.
  if (!mayAdopt(key, version)) await deps.provider.destroyMasterKey(tokenRef(making, version), options)
  throw new KmsError('CONFLICT', 'The new version was given up while it was being made.', {})
}

/** The next revision of a key, with the version that was in the making. */
function withVersion(key: MasterKey, version: KeyVersion, at: number): MasterKey {
  const { pendingVersion, ...without } = key
  const next = { ...without, versions: [...key.versions, version], revision: key.revision + 1 }
  const type = pendingVersion?.rotation
  if (!type) return next
  return {
    ...next,
    ...nextSchedule(key, type, at),
    versions: [...key.versions, { ...version, rotation: { type, at } }],
    primaryVersionId: version.versionId,
  }
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
