import { KmsError } from './errors.ts'
import type { MasterKey } from './key.ts'
import type { KeyStore } from './ports/key-store.ts'

/** The keys of the same id in all regions, by region, tombstones left out; none for a key of one region. */
export async function regionsOf(store: KeyStore, key: MasterKey): Promise<readonly MasterKey[]> {
  if (key.multiRegion === undefined) return []
  return (await store.listRegions(key.keyId)).filter(({ state }) => state !== 'Deleted')
}

/** Those of {@link regionsOf} in other regions than the key's. */
export async function siblingsOf(store: KeyStore, key: MasterKey): Promise<readonly MasterKey[]> {
  return (await regionsOf(store, key)).filter(({ region }) => region !== key.region)
}

/** Whether a primary key has replicas, whatever their state, that it must outlive. */
export async function hasReplicas(store: KeyStore, key: MasterKey): Promise<boolean> {
  return key.multiRegion === 'PRIMARY' && (await siblingsOf(store, key)).length > 0
}

/**
 * For what a primary key does for all regions.
 *
 * @throws {@link KmsError} `KEY_NOT_PRIMARY`
 */
export function refuseReplica({ multiRegion, keyId }: MasterKey): void {
  if (multiRegion !== 'REPLICA') return
  throw new KmsError('KEY_NOT_PRIMARY', `Key '${keyId}' is a replica.`, { keyId })
}
