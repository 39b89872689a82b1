import { randomUUID } from 'node:crypto'
import type { Alias, KeyState, MasterKey } from '../../src/core/key.ts'

export const ACCOUNT = '111122223333'
export const REGION = 'eu-central-1'
export const ALL_STATES: readonly KeyState[] = [
  'Creating',
  'Enabled',
  'Disabled',
  'PendingDeletion',
  'PendingReplicaDeletion',
  'Deleting',
  'Deleted',
]

/** A key with one version of its own; `changes` say what matters to the test. */
export function sampleKey(changes: Partial<MasterKey> = {}): MasterKey {
  const versionId = randomUUID()
  return {
    keyId: randomUUID(),
    accountId: ACCOUNT,
    region: REGION,
    token: 'main',
    spec: 'SYMMETRIC_DEFAULT',
    usage: 'ENCRYPT_DECRYPT',
    state: 'Enabled',
    description: 'payments, Größe ≤ 10 𐍈',
    createdAt: 1_790_000_000_000,
    versions: [{ versionId, number: 1, createdAt: 1_790_000_000_000 }],
    primaryVersionId: versionId,
    revision: 1,
    ...(changes.state === 'PendingReplicaDeletion' && { ...multiRegionParts(), deletionWindowDays: 7 }),
    ...changes,
  }
}

function multiRegionParts() {
  return { keyId: `mrk-${randomUUID().replaceAll('-', '')}`, multiRegion: 'PRIMARY' } as const
}

/** A primary key of several regions. */
export function samplePrimary(changes: Partial<MasterKey> = {}): MasterKey {
  return sampleKey({ ...multiRegionParts(), ...changes })
}

/** What another region may have of a primary key. */
export function sampleReplica(
  primary: MasterKey,
  region: string,
  changes: Partial<MasterKey> = {},
): MasterKey {
  const { keyId, accountId, token, spec, usage, versions, primaryVersionId } = primary
  const shared = { keyId, accountId, token, spec, usage, versions, primaryVersionId }
  return sampleKey({ ...shared, region, multiRegion: 'REPLICA', ...changes })
}

export function sampleAlias(key: MasterKey, name: string, changes: Partial<Alias> = {}): Alias {
  const { accountId, region, keyId } = key
  return {
    accountId,
    region,
    name,
    keyId,
    createdAt: 1_790_000_000_001,
    updatedAt: 1_790_000_000_001,
    ...changes,
  }
}

/** The next revision of a key. */
export function next(key: MasterKey, changes: Partial<MasterKey> = {}): MasterKey {
  return { ...key, revision: key.revision + 1, ...changes }
}

/** The next revision of a key, with one version more, which is the primary one. */
export function rotated(key: MasterKey, versionId: string = randomUUID()): MasterKey {
  const version = { versionId, number: key.versions.length + 1, createdAt: 1_790_000_000_009 }
  return next(key, { versions: [...key.versions, version], primaryVersionId: versionId })
}
