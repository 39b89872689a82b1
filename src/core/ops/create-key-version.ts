import { invariant } from '../../lib/invariant.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requireOwnOrigin, requireState } from '../find-key.ts'
import type { KeyIdentifier, KeyVersion, MasterKey } from '../key.ts'
import { pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { refuseReplica } from '../multi-region.ts'
import { beaten, CHANGE_ATTEMPTS_MAX } from './change-key.ts'
import { inTime } from './in-time.ts'
import { addVersion } from './rotate-key.ts'

/** Alibaba Cloud KMS, "CreateKeyVersion", versions of a key pair, the initial one included. */
const VERSIONS_MAX = 50

export interface CreateKeyVersionInput {
  readonly key: KeyIdentifier
  /** How long to wait while the token makes other pairs; 0 to be refused at once. Milliseconds. */
  readonly waitMs: number
}

export interface CreatedVersion {
  readonly key: MasterKey
  readonly version: KeyVersion
}

/**
 * Makes another version of an enabled key pair, beside those that there are: whoever names no version goes on with the initial
 * one, and its public key. In the row first and then in the token, as a rotation is; one that comes too late for its caller is
 * taken back.
 *
 * @throws {@link KmsError} `KEY_NOT_ROTATABLE` of a key that is no pair; `KEY_ORIGIN_INVALID`; `KEY_NOT_PRIMARY`; `LIMIT_EXCEEDED`;
 *   `KEY_VERSION_TOO_SOON`; `ROTATION_IN_PROGRESS`; `TOKEN_BUSY`; `UNSUPPORTED`; `CONFLICT`; what the provider throws.
 */
export async function createKeyVersion(
  deps: KmsDeps,
  context: CallContext,
  { key: identifier, waitMs }: CreateKeyVersionInput,
): Promise<CreatedVersion> {
  const { accountId, region } = context.principal
  let named = identifier
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_MAX; attempt++) {
    if (named.kind === 'id') deps.directory.forgetKey(region, named.keyId)
    const before = await requireKey(deps, context, 'CreateKeyVersion', named)
    requireAnotherVersion(deps, before)
    named = { kind: 'id', keyId: before.keyId }
    const make = () => makeBeside(deps, context, before, waitMs)
    const key = await deps.creations.use(accountId, make, () => tooMany(before))
    if (key) return { key, version: versionAfter(before, key) }
  }
  throw beaten()
}

function tooMany({ token }: MasterKey): KmsError<'TOKEN_TIMEOUT'> {
  return new KmsError('TOKEN_TIMEOUT', 'Too many keys are being made at the same time.', { token })
}

/** A token makes one pair at a time. */
function makeBeside(
  deps: KmsDeps,
  context: CallContext,
  before: MasterKey,
  waitMs: number,
): Promise<MasterKey | undefined> {
  const { deadlineAt: adoptBy, trail } = context
  const work = deps.pairs.use(before, Math.min(waitMs, adoptBy - Date.now()), (deadlineAt) =>
    addVersion(deps, before, { adoptBy }, { deadlineAt, timings: trail.timings }),
  )
  return inTime(work, adoptBy, before.token)
}

function requireAnotherVersion(deps: KmsDeps, key: MasterKey): void {
  const { keyId, spec, versions, pendingVersion } = key
  requireState(key, 'Enabled')
  if (!pairOfSpec(spec))
    throw new KmsError('KEY_NOT_ROTATABLE', 'Versions are made of key pairs alone.', { keyId })
  requireOwnOrigin(key)
  refuseReplica(key)
  if (versions.length >= VERSIONS_MAX)
    throw new KmsError('LIMIT_EXCEEDED', `A key has at most ${VERSIONS_MAX} versions.`, {
      limit: 'versions of a key',
    })
  if (pendingVersion)
    throw new KmsError('ROTATION_IN_PROGRESS', 'A version of the key is in the making.', { keyId })
  const from = (versions.at(-1)?.createdAt ?? 0) + deps.keyVersionIntervalMs
  if (deps.clock.now() < from)
    throw new KmsError('KEY_VERSION_TOO_SOON', 'The last version of the key is too young.', { keyId, from })
}

function versionAfter({ versions }: MasterKey, key: MasterKey): KeyVersion {
  const version = key.versions[versions.length]
  invariant(version, 'the version that was made is the next one of the key')
  return version
}
