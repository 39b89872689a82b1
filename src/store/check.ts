import { KmsError } from '../core/errors.ts'
import {
  type Alias,
  type KeyState,
  type MasterKey,
  MULTI_REGION_ID_PREFIX,
  ROTATION_PERIOD_DAYS,
} from '../core/key.ts'
import { isSymmetric } from '../core/key-spec.ts'
import type { ImportPair } from '../core/ports/import-store.ts'
import { LEASE_MS_MAX, type Lease } from '../core/ports/lease-store.ts'
import { invariant } from '../lib/invariant.ts'

const CANARY_LENGTH_MAX = 8192
/** Base64 of SubjectPublicKeyInfo; that of an RSA key of 4096 bits has 736 characters. */
const PUBLIC_KEY_LENGTH_MAX = 8192
/** The most rows that one page may ask for. */
const PAGE_LIMIT_MAX = 1000
const MATERIAL_CANARY_LENGTH_MAX = 512
const MATERIAL_DESCRIPTION_LENGTH_MAX = 256
const IMPORT_ID_LENGTH_MAX = 64
/** Where a key may have a version in the making. */
const ROTATING: readonly KeyState[] = [
  'Enabled',
  'Disabled',
  'PendingDeletion',
  'PendingReplicaDeletion',
  'Deleting',
]

/**
 * Whether every backend keeps `text` as it is. SQLite turns a lone surrogate into U+FFFD and PostgreSQL cannot hold
 * NUL, so both are kept out everywhere: a key that moves between backends stays the same key.
 */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** @throws {@link KmsError} `REQUEST_INVALID` when `text` cannot be kept as it is. */
export function requireStorableText(field: string, text: string): void {
  if (isStorableText(text)) return
  throw new KmsError('REQUEST_INVALID', `The ${field} holds a NUL or a lone surrogate.`, { field })
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} when the key is not one that core/key.ts describes.
 */
export function checkKey(key: MasterKey): void {
  const {
    keyId,
    accountId,
    region,
    token,
    spec,
    usage,
    state,
    description,
    versions,
    deletionProtection = '',
  } = key
  const texts = { keyId, accountId, region, token, spec, usage, state, description, deletionProtection }
  for (const [field, text] of Object.entries(texts)) requireStorableText(field, text)
  const pending = key.pendingVersion ? [key.pendingVersion] : []
  for (const { versionId } of [...versions, ...pending]) requireStorableText('versionId', versionId)
  for (const { publicKey } of versions) {
    if (publicKey === undefined) continue
    requireStorableText('publicKey', publicKey)
    invariant(
      publicKey.length >= 1 && publicKey.length <= PUBLIC_KEY_LENGTH_MAX,
      'a public key is a short text',
    )
  }
  invariant(versions.length >= 1, 'a key has a version')
  invariant(
    versions.every(({ number }, index) => number === index + 1),
    'versions are numbered from 1, in order',
  )
  invariant(
    versions.some(({ versionId }) => versionId === key.primaryVersionId),
    'the primary version is one of the versions',
  )
  invariant(
    key.deletionAt === undefined || state === 'PendingDeletion',
    'only a key in PendingDeletion has a deletion time',
  )
  checkMultiRegion(key)
  invariant(pending.length === 0 || ROTATING.includes(state), 'a key in this state is not being rotated')
  const fits = pending.every(({ rotation }) => (rotation !== undefined) === isSymmetric(spec))
  invariant(fits, 'symmetric keys alone are rotated')
  invariant(
    versions.every(({ versionId }) => versionId !== key.pendingVersion?.versionId),
    'a version in the making is none of the versions',
  )
  invariant(Number.isSafeInteger(key.revision) && key.revision >= 1, 'revisions count from 1')
  checkSchedule(key)
  checkMaterial(key)
  const times = [
    key.createdAt,
    key.deletionAt ?? 0,
    key.rotationSchedule?.nextAt ?? 0,
    ...versions.flatMap(({ rotation, imported }) => [
      rotation?.at ?? 0,
      imported?.since ?? 0,
      imported?.expiresAt ?? 0,
    ]),
    ...[...versions, ...pending].map(({ createdAt }) => createdAt),
  ]
  invariant(times.every(Number.isSafeInteger), 'a time is a whole number of milliseconds')
}

function checkSchedule({ rotationSchedule, state }: MasterKey): void {
  if (!rotationSchedule) return
  const { periodDays } = rotationSchedule
  const { min, max } = ROTATION_PERIOD_DAYS
  const sound = Number.isInteger(periodDays) && periodDays >= min && periodDays <= max
  invariant(sound, `a key is rotated every ${min} to ${max} days`)
  invariant(state !== 'Creating', 'a key that is being made has no schedule')
}

function checkMultiRegion(key: MasterKey): void {
  const { keyId, multiRegion, deletionWindowDays, pendingVersion, rotationSchedule, state } = key
  invariant(
    (multiRegion !== undefined) === keyId.startsWith(MULTI_REGION_ID_PREFIX),
    'the id of a multi-region key tells so',
  )
  invariant(multiRegion !== 'REPLICA' || !(pendingVersion || rotationSchedule), 'a replica is not rotated')
  invariant(
    (deletionWindowDays !== undefined) === (state === 'PendingReplicaDeletion'),
    'a key that waits for its replicas to go has a deletion window',
  )
  invariant(
    state !== 'PendingReplicaDeletion' || multiRegion === 'PRIMARY',
    'only a primary key waits for its replicas to go',
  )
}

/**
 * @throws {@link InvariantError} when `replica` is no replica of `primary`.
 */
export function checkReplica(primary: MasterKey, replica: MasterKey): void {
  const shared = ['keyId', 'accountId', 'token', 'spec', 'usage', 'primaryVersionId'] as const
  for (const field of shared) invariant(primary[field] === replica[field], `a replica shares the ${field}`)
  invariant(primary.region !== replica.region, 'a replica is of another region')
  invariant(
    primary.multiRegion === 'PRIMARY' && replica.multiRegion === 'REPLICA',
    'a primary key has replicas',
  )
  invariant(
    JSON.stringify(primary.versions) === JSON.stringify(replica.versions),
    'a replica shares the versions',
  )
}

function checkMaterial({ origin, versions, state, rotationSchedule }: MasterKey): void {
  const external = origin === 'EXTERNAL'
  invariant(external || state !== 'PendingImport', 'only material that is imported can be missing')
  invariant(!external || !rotationSchedule, 'a key whose material is imported has no schedule')
  for (const { imported } of versions) {
    invariant((imported !== undefined) === external, 'imported material is of keys that are external')
    if (!imported) continue
    const { canary = 'c', description = '', importId = 'i', expiresAt } = imported
    for (const text of [canary, description, importId]) requireStorableText('material', text)
    invariant(canary.length > 0 && canary.length <= MATERIAL_CANARY_LENGTH_MAX, 'a canary is a short text')
    invariant(importId.length > 0 && importId.length <= IMPORT_ID_LENGTH_MAX, 'an import has a short id')
    invariant(description.length <= MATERIAL_DESCRIPTION_LENGTH_MAX, 'a description is a short text')
    invariant(
      imported.state !== 'Imported' || imported.canary !== undefined,
      'material that is there is known',
    )
    invariant(expiresAt === undefined || imported.state === 'Imported', 'only material that is there expires')
  }
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} when a time is not a whole number.
 */
export function checkImportPair(pair: ImportPair): void {
  const { pairId, accountId, region, keyId, token, secretHash } = pair
  for (const [field, text] of Object.entries({ pairId, accountId, region, keyId, token, secretHash }))
    requireStorableText(field, text)
  for (const time of [pair.createdAt, pair.expiresAt]) checkTime(time)
}

/**
 * @throws {@link InvariantError} when `after` is not a later shape of the same key: identity or old versions differ, or
 *   a key that is gone or going would come back.
 */
export function checkReplacement(before: MasterKey, after: MasterKey): void {
  const fixed = ['accountId', 'token', 'spec', 'usage', 'origin', 'protectionLevel', 'createdAt'] as const
  for (const field of fixed) invariant(before[field] === after[field], `the ${field} of a key never changes`)
  invariant(
    isSymmetric(before.spec) || before.primaryVersionId === after.primaryVersionId,
    'the primary version of a key pair stays what it is',
  )
  invariant(!before.multiRegion === !after.multiRegion, 'a key is of several regions or never is')
  invariant(before.state !== 'Deleted', 'a tombstone is final')
  invariant(
    before.state !== 'Deleting' || after.state === 'Deleted',
    'a key in Deleting only becomes Deleted',
  )
  const kept = before.versions.every((version, index) => {
    const now = after.versions[index]
    return (
      now?.versionId === version.versionId &&
      now.createdAt === version.createdAt &&
      (version.publicKey === undefined || now.publicKey === version.publicKey) &&
      (version.rotation === undefined
        ? !now.rotation || now.imported !== undefined
        : now.rotation?.type === version.rotation.type && now.rotation.at === version.rotation.at) &&
      (version.imported?.canary === undefined || now.imported?.canary === version.imported.canary)
    )
  })
  invariant(kept, 'versions are only ever appended, and a public key stays what it is')
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} when a time is not a whole number.
 */
export function checkAlias(alias: Alias): void {
  const { accountId, region, name, keyId } = alias
  for (const [field, text] of Object.entries({ accountId, region, name, keyId }))
    requireStorableText(field, text)
  invariant(
    Number.isSafeInteger(alias.createdAt) && Number.isSafeInteger(alias.updatedAt),
    'a time is a whole number of milliseconds',
  )
}

/** @throws {@link InvariantError} when a lease could not be of any version, or is not of whole numbers of 1 or more. */
export function checkLease(versionId: string, count: number, max: number): void {
  invariant(isStorableText(versionId), 'invocations are of a version')
  for (const number of [count, max]) checkCount(number)
}

/** @throws {@link InvariantError} when a number of invocations is not a whole one of 1 or more. */
export function checkCount(number: number): void {
  invariant(Number.isSafeInteger(number) && number >= 1, 'invocations are counted in whole numbers from 1')
}

/** @throws {@link InvariantError} when it is not a whole number of milliseconds. */
export function checkTime(time: number): void {
  invariant(Number.isSafeInteger(time), 'a time is a whole number of milliseconds')
}

/** @throws {@link InvariantError} when a canary could not be of any version, or has more characters than a row takes. */
export function checkCanary(versionId: string, canary: string): void {
  const kept = isStorableText(versionId) && isStorableText(canary)
  invariant(
    kept && canary.length >= 1 && canary.length <= CANARY_LENGTH_MAX,
    'a canary is a short text of a version',
  )
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` when the cursor is no text that a row can hold.
 *   {@link InvariantError} when `limit` is not 1 to 1000.
 */
export function checkPage(limit: number, ...cursor: readonly string[]): void {
  invariant(Number.isInteger(limit) && limit >= 1 && limit <= PAGE_LIMIT_MAX, 'a page has 1 to 1000 rows')
  for (const text of cursor) requireStorableText('marker', text)
}

/**
 * @throws {@link KmsError} `REQUEST_INVALID` for unstorable text.
 *   {@link InvariantError} when it is not given for 1 ms to {@link LEASE_MS_MAX}.
 */
export function checkHolding({ name, holder, expiresAt }: Lease, now: number): void {
  for (const [field, text] of Object.entries({ name, holder })) requireStorableText(field, text)
  invariant([expiresAt, now].every(Number.isSafeInteger), 'a time is a whole number of milliseconds')
  invariant(
    expiresAt > now && expiresAt - now <= LEASE_MS_MAX,
    `a lease is given for 1 to ${LEASE_MS_MAX} ms`,
  )
}
