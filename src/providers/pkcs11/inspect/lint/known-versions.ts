import type { KeyState, MasterKey } from '../../../../core/key.ts'
import { isSymmetric } from '../../../../core/key-spec.ts'
import { type MaterialName, type ObjectRole, objectId, rolesOf } from '../../object-names.ts'

/** A version of a key whose material one token holds, as the store has it. */
export interface KnownVersion extends MaterialName {
  /** As the store had it after the token was walked. */
  readonly state: KeyState
  /** Of material that the owner of the key imported. */
  readonly imported?: true
  /** False when its row changed while the token was walked: what is missing may have come or gone meanwhile. */
  readonly settled: boolean
}

/** What the store knows of one token's keys. */
export interface KnownKeys {
  readonly versions: readonly KnownVersion[]
  /** Objects that the versions are made of, by CKA_ID in hex. */
  readonly byId: ReadonlyMap<string, { readonly version: KnownVersion; readonly role: ObjectRole }>
}

/**
 * The store is read before and after the token is walked, because a service may make and destroy keys meanwhile: rows
 * come before objects and go after them.
 *
 * @param token - Name of the token, as keys remember it.
 */
export function knownKeys(
  before: readonly MasterKey[],
  after: readonly MasterKey[],
  token: string,
): KnownKeys {
  const revisions = new Map(before.map((key) => [rowOf(key), key.revision]))
  const versions = onePerId(after)
    .filter((key) => key.token === token)
    .flatMap((key) =>
      numbered(key).map((version) => ({
        keyId: key.keyId,
        ...(!isSymmetric(key.spec) && { spec: key.spec, usage: key.usage }),
        ...version,
        settled: revisions.get(rowOf(key)) === key.revision,
      })),
    )
  const objects = versions.flatMap((version) =>
    rolesOf(version).map((role) => [objectId(version, role).toString('hex'), { version, role }] as const),
  )
  return { versions, byId: new Map(objects) }
}

/** The versions of a key, the one that a rotation is making included. */
function numbered({ versions, pendingVersion, state }: MasterKey) {
  // Of material that its owner took away, or has not brought yet, there is nothing to find.
  const made = versions
    .filter(({ imported }) => imported?.state !== 'PendingImport')
    .map(({ versionId, number, imported }) => ({
      versionId,
      versionNumber: number,
      ...(imported && { imported: true as const }),
      ...(imported?.importId !== undefined && { importId: imported.importId }),
      state: imported && imported.state !== 'Imported' ? ('Creating' as const) : state,
    }))
  if (!pendingVersion) return made
  const versionNumber = versions.length + 1
  return [...made, { versionId: pendingVersion.versionId, versionNumber, state: 'Creating' as const }]
}

/** Regions of a multi-region key share its objects: they are those of the region where the key lives longest. */
function onePerId(keys: readonly MasterKey[]): readonly MasterKey[] {
  const byId = new Map<string, MasterKey>()
  for (const key of keys) {
    const known = byId.get(key.keyId)
    if (!known || lifeLeft(key) > lifeLeft(known)) byId.set(key.keyId, key)
  }
  return [...byId.values()]
}

/** More where more of the material is to be there: all that lives, and what a rotation is making besides. */
function lifeLeft({ state, pendingVersion }: MasterKey): number {
  if (state === 'Deleted') return 0
  if (state === 'Deleting') return 1
  return pendingVersion ? 3 : 2
}

function rowOf({ region, keyId }: MasterKey): string {
  return `${region}/${keyId}`
}
