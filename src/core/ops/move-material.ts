import type { Clock } from '../../lib/clock.ts'
import { isKmsError, KmsError } from '../errors.ts'
import { requireVersion, tokenRef } from '../find-key.ts'
import { destroying, hasExpired, withMaterial } from '../imported-material.ts'
import type { ImportedMaterial, KeyVersion, MasterKey } from '../key.ts'
import type { KeyDirectory } from '../key-directory.ts'
import type { CallOptions, CryptoProvider } from '../ports/crypto-provider.ts'
import type { KeyStore } from '../ports/key-store.ts'

const MOVE_ATTEMPTS_MAX = 8
/** An import that has not ended by then is given up by whoever began it: its calls of the token end before. */
export const IMPORTING_MS_MAX = 60_000
const DESTROY_TIMEOUT_MS = 10_000

export interface MaterialDeps {
  readonly store: KeyStore
  readonly provider: CryptoProvider
  readonly directory: KeyDirectory
  readonly clock: Clock
}

/** Which version of which key. */
export interface MaterialPlace {
  readonly region: string
  readonly keyId: string
  readonly versionId: string
}

export interface ChangedMaterial {
  readonly key: MasterKey
  /** Absent where there never was any. */
  readonly version?: KeyVersion
}

/**
 * Changes what is known of the material of one version, whatever else of the key changes meanwhile.
 *
 * @param move - The material as it is to be; `undefined` where there is nothing to do, because somebody else was first.
 * @param publicKey - As in {@link withMaterial}.
 * @returns The key as it was stored; `undefined` where nothing was.
 * @throws {@link KmsError} `CONFLICT` when others were first every time.
 */
export async function moveMaterial(
  { store, directory }: MaterialDeps,
  { region, keyId, versionId }: MaterialPlace,
  move: (imported: ImportedMaterial) => ImportedMaterial | undefined,
  publicKey?: string,
): Promise<MasterKey | undefined> {
  for (let attempt = 1; attempt <= MOVE_ATTEMPTS_MAX; attempt++) {
    const key = await store.getKey(region, keyId)
    if (!key || key.state === 'Deleting' || key.state === 'Deleted') return undefined
    const { imported } = requireVersion(key, versionId)
    const moved = imported && move(imported)
    if (!moved) return undefined
    const next = { ...withMaterial(key, versionId, moved, publicKey), revision: key.revision + 1 }
    const stored = await store.replaceKey(next)
    await directory.keyChanged(region, keyId)
    if (stored) return next
  }
  throw new KmsError('CONFLICT', 'The key is being changed by others at the same time.', {})
}

/** Where the material of a version is told of. */
export function placeOf({ region, keyId }: MasterKey, { versionId }: KeyVersion): MaterialPlace {
  return { region, keyId, versionId }
}

/**
 * Destroys the objects that the import of `version` made, whose material is `Destroying`, and says so in its row. Whatever
 * another import brings meanwhile has objects of its own.
 *
 * @throws What the provider throws: the row stays as it is then, and maintenance goes on.
 */
export async function destroyMaterial(
  deps: MaterialDeps,
  key: MasterKey,
  version: KeyVersion,
  options: CallOptions = { deadlineAt: Date.now() + DESTROY_TIMEOUT_MS },
): Promise<void> {
  await deps.provider.destroyMasterKey(tokenRef(key, version), options)
  await moveMaterial(deps, placeOf(key, version), (imported) =>
    imported.state === 'Destroying' && isSameImport(imported, version)
      ? { ...imported, state: 'PendingImport', since: deps.clock.now() }
      : undefined,
  )
}

/** Whether what is known of a version's material is of the import that `version` tells. */
export function isSameImport({ importId }: ImportedMaterial, { imported }: KeyVersion): boolean {
  return importId === imported?.importId
}

/**
 * Ends at once what of a key has expired or is being destroyed and was not looked at by maintenance yet, so that it may come again:
 * destroying twice is no harm.
 *
 * @throws What the provider throws.
 */
export async function endDestroying(deps: MaterialDeps, key: MasterKey, options: CallOptions): Promise<void> {
  for (const { versionId } of key.versions) {
    const now = deps.clock.now()
    await moveMaterial(deps, { region: key.region, keyId: key.keyId, versionId }, (imported) =>
      hasExpired(imported, now) ? destroying(imported, now) : undefined,
    )
    // As the row has it, where no way leads back from there: what only seemed to have expired may live longer.
    const stored = await deps.store.getKey(key.region, key.keyId)
    const version = stored?.versions.find((one) => one.versionId === versionId)
    if (stored && version?.imported?.state === 'Destroying')
      await destroyMaterial(deps, stored, version, options)
  }
}

/** Undoes the import that claimed `version`. What fails here is done by maintenance. */
export async function abandonImport(deps: MaterialDeps, key: MasterKey, version: KeyVersion): Promise<void> {
  try {
    const claimed = await moveMaterial(deps, placeOf(key, version), (imported) =>
      imported.state === 'Importing' && isSameImport(imported, version)
        ? destroying(imported, deps.clock.now())
        : undefined,
    )
    if (claimed) await destroyMaterial(deps, key, version)
    // The key is being destroyed, or the import was given up: nobody else knows of objects that came to be after that.
    else await destroyUnlessImported(deps, key, version)
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
  }
}

/** The objects are this import's alone, so that they may go unless the row says that they are there. */
async function destroyUnlessImported(deps: MaterialDeps, key: MasterKey, version: KeyVersion): Promise<void> {
  const now = await deps.store.getKey(key.region, key.keyId)
  const imported = now?.versions.find(({ versionId }) => versionId === version.versionId)?.imported
  const gone = !now || now.state === 'Deleting' || now.state === 'Deleted'
  if (!gone && imported?.state === 'Imported' && isSameImport(imported, version)) return
  await deps.provider
    .destroyMasterKey(tokenRef(key, version), { deadlineAt: Date.now() + DESTROY_TIMEOUT_MS })
    .catch((error: unknown) => {
      if (!isKmsError(error, 'TOKEN_UNAVAILABLE') && !isKmsError(error, 'TOKEN_TIMEOUT')) throw error
    })
}
