import type { WrappingAlgorithm } from '../../../core/ports/import-store.ts'
import { invariant } from '../../../lib/invariant.ts'
import { TokenRefusal } from '../errors.ts'
import { findImportPair, MODULUS_BITS, specOf, wayOf } from '../import-pair-objects.ts'
import { withMaterial } from '../import-source.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { refuseExisting } from '../make-object.ts'
import type { Handle } from '../module.ts'
import { type MaterialName, rolesOf } from '../object-names.ts'
import { readPublicKey } from '../pair-attributes.ts'
import { CKA } from '../templates.ts'
import { needsHostMemory } from './create-import-pair.ts'
import { madeMaterial } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** What to import; part 0 as JSON. */
export interface ImportJob {
  readonly name: MaterialName
  readonly pairId: string
  readonly algorithm: WrappingAlgorithm
  /** Name of the token, for operators and callers. */
  readonly token: string
  /** As it is now: the pair may be of a time when it was set. */
  readonly allowHostMemory: boolean
}

/**
 * Makes the objects of a version from material that was wrapped for a pair, reads them back and uses each once; destroys what it
 * made when anything is wrong.
 *
 * Parts: {@link ImportJob} as JSON, the wrapped material. Results: `FoundMaterial` as JSON, whether host memory was used as JSON,
 * SubjectPublicKeyInfo of a key pair.
 */
export const importMasterKey: Procedure = (token, _, parts) => {
  const job = parseJsonPart(part(parts, 0)) as ImportJob
  const { name, algorithm } = job
  for (const role of rolesOf(name)) refuseExisting(token, name, role)
  const [privateKey] = findImportPair(token, job.pairId)
  if (!privateKey)
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: 'The token does not hold the import pair.' })
  const modulusBytes = modulusBytesOf(token, privateKey)
  const spec = specOf(modulusBytes)
  invariant(spec, 'a pair has one of the specs')
  const spki = readPublicKey(token, privateKey, { kind: 'rsa', modulusBits: MODULUS_BITS[spec] })
  const way = wayOf(token, privateKey)
  if (way === 'host' && !job.allowHostMemory)
    throw needsHostMemory({ ...job, material: name }, 'the pair was made while that was set')
  const unwrapping = { name, privateKey, spki, modulusBytes, algorithm, way }
  return withMaterial(token, unwrapping, part(parts, 1), (source, kind) => {
    const made = madeMaterial(kind.create(token, source))
    return [made, jsonPart(way === 'host'), ...(source.spki ? [source.spki] : [])]
  })
}

function modulusBytesOf(token: LaneToken, privateKey: Handle): number {
  const [modulus] = token.p11.C_GetAttributeValue(token.session, privateKey, [{ type: CKA.MODULUS }])
  const value = modulus?.value
  return Buffer.isBuffer(value) ? value.length : 0
}
