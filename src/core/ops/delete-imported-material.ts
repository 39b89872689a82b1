import { KmsError } from '../errors.ts'
import { requireKey, requireVersion } from '../find-key.ts'
import { destroying } from '../imported-material.ts'
import { isSymmetric } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { keyMaterialId } from '../material-id.ts'
import { type ChangedMaterial, destroyMaterial, moveMaterial, placeOf } from './move-material.ts'
import { callOptions } from './seal-payload.ts'

/**
 * Destroys the material of a version, the current one where none is named. What it sealed opens again when the same material is
 * imported again.
 *
 * @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `CONFLICT`; what the provider throws: the material is unusable then, and is
 *   destroyed by the next call or by maintenance.
 */
export async function deleteImportedKeyMaterial(
  deps: KmsDeps,
  context: CallContext,
  keyId: string,
  materialId: string | undefined,
): Promise<ChangedMaterial> {
  deps.directory.forgetKey(context.principal.region, keyId)
  const key = await requireKey(deps, context, 'DeleteImportedKeyMaterial', { kind: 'id', keyId })
  const { origin = 'AWS_KMS' } = key
  if (origin !== 'EXTERNAL')
    throw new KmsError('KEY_ORIGIN_INVALID', 'The material of the key is not imported.', { keyId, origin })
  if (materialId !== undefined && !isSymmetric(key.spec))
    throw new KmsError('UNSUPPORTED', `Only the material of symmetric encryption keys has an id.`, {})
  const version =
    materialId === undefined
      ? requireVersion(key, key.primaryVersionId)
      : key.versions.find((one) => one.imported?.canary !== undefined && keyMaterialId(one) === materialId)
  if (!version)
    throw new KmsError('REQUEST_INVALID', 'The key has no such key material.', { field: 'KeyMaterialId' })
  if (version.imported?.canary === undefined) return { key }
  await moveMaterial(deps, placeOf(key, version), (imported) => {
    if (imported.state === 'Importing') throw new KmsError('CONFLICT', 'The material is being imported.', {})
    return imported.state === 'Imported' ? destroying(imported, deps.clock.now()) : undefined
  })
  const now = await deps.store.getKey(key.region, keyId)
  const going = now?.versions.find(({ versionId }) => versionId === version.versionId)
  if (now && going?.imported?.state === 'Destroying')
    await destroyMaterial(deps, now, going, callOptions(context))
  return { key, version }
}
