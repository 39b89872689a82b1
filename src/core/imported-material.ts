import type { ImportedMaterial, KeyVersion, MasterKey } from './key.ts'

/** The number of the primary version: what it and those before it sealed has to be opened. */
function primaryNumber({ versions, primaryVersionId }: MasterKey): number {
  return versions.find(({ versionId }) => versionId === primaryVersionId)?.number ?? 0
}

/** Whether every version that something may have been sealed with has its material (AWS KMS, "Importing key material"). */
export function hasAllMaterial(key: MasterKey): boolean {
  const last = primaryNumber(key)
  return key.versions.every(
    ({ number, imported }) => !imported || number > last || imported.state === 'Imported',
  )
}

/** The version whose material was imported to become the primary one, whether it is there or not. */
export function pendingMaterial(key: MasterKey): KeyVersion | undefined {
  const last = primaryNumber(key)
  return key.versions.find(({ number, imported }) => number > last && imported?.canary !== undefined)
}

/** A version that no material was ever acknowledged for: the next new one comes there. */
export function blankVersion({ versions }: MasterKey): KeyVersion | undefined {
  return versions.find(({ imported }) => imported && imported.canary === undefined)
}

/** The material as it is while its objects are destroyed. */
export function destroying(imported: ImportedMaterial, now: number): ImportedMaterial {
  const { expiresAt: _, ...kept } = imported
  return { ...kept, state: 'Destroying', since: now }
}

/** @param now - Milliseconds since the epoch. */
export function hasExpired({ state, expiresAt }: ImportedMaterial, now: number): boolean {
  return state === 'Imported' && expiresAt !== undefined && expiresAt <= now
}

/**
 * The key as it is at a moment: material that has expired by then is on its way out, and the key follows, whether maintenance
 * has come to its row or not. The same object where nothing has expired.
 */
export function asOf(key: MasterKey, now: number): MasterKey {
  if (key.origin !== 'EXTERNAL') return key
  return key.versions.reduce((whole, { versionId, imported }) => {
    if (!imported || !hasExpired(imported, now)) return whole
    return withMaterial(whole, versionId, destroying(imported, imported.expiresAt ?? now))
  }, key)
}

/**
 * The key with other facts about the material of one version, and with the state that follows from them.
 *
 * @param publicKey - Of a key pair whose material came for the first time, as `KeyVersion` has it.
 */
export function withMaterial(
  key: MasterKey,
  versionId: string,
  imported: ImportedMaterial,
  publicKey?: string,
): MasterKey {
  const versions = key.versions.map((one) =>
    one.versionId === versionId ? { ...one, imported, ...(publicKey !== undefined && { publicKey }) } : one,
  )
  const next = { ...key, versions }
  if (key.state === 'PendingImport') return hasAllMaterial(next) ? { ...next, state: 'Enabled' } : next
  const usable = key.state === 'Enabled' || key.state === 'Disabled'
  return usable && !hasAllMaterial(next) ? { ...next, state: 'PendingImport' } : next
}
