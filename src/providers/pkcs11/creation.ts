import { pairOfSpec } from '../../core/key-spec.ts'
import type { CallOptions, MasterKeyRef, MaterialPresence } from '../../core/ports/crypto-provider.ts'
import { tokenTimeout } from './errors.ts'
import { jsonPart, type Operation, parseJsonPart } from './lanes/messages.ts'
import type { MaterialName } from './object-names.ts'
import type { KeyPairJob } from './procedures/create-key-pair.ts'
import type { FoundMaterial } from './procedures/find-master-key.ts'
import type { Pkcs11TokenSettings } from './settings.ts'

/**
 * Which procedure makes a version, and what it is given. A key pair is begun only with time left for all of it: what is begun
 * cannot be stopped.
 *
 * @throws KmsError `TOKEN_TIMEOUT` where there is none.
 */
export function creationOf(
  { name: token, pairTimeoutMs }: Pkcs11TokenSettings,
  name: Buffer,
  { spec = 'SYMMETRIC_DEFAULT' }: MasterKeyRef,
  { deadlineAt }: CallOptions,
): { readonly operation: Operation; readonly job: Buffer } {
  if (spec === 'SYMMETRIC_DEFAULT') return { operation: 'createMasterKey', job: name }
  if (!pairOfSpec(spec)) return { operation: 'createMacKey', job: name }
  const startBy = deadlineAt - pairTimeoutMs
  if (Date.now() > startBy) throw tokenTimeout(token)
  const job: KeyPairJob = { name: parseJsonPart(name) as MaterialName, startBy }
  return { operation: 'createKeyPair', job: jsonPart(job) }
}

/** What a search for the objects of a version means. */
export function presenceOf({ objects, asCreated }: FoundMaterial): MaterialPresence {
  if (asCreated) return 'present'
  if (objects.every(({ handles }) => handles.length === 0)) return 'absent'
  return objects.some(({ handles }) => handles.length === 0) ? 'partial' : 'altered'
}
