import { pairOfSpec } from '../../../core/key-spec.ts'
import { invariant } from '../../../lib/invariant.ts'
import { TokenRefusal } from '../errors.ts'
import { findObjects } from '../find-objects.ts'
import { masterPairTemplates, type OtherName, otherName } from '../key-templates.ts'
import type { LaneToken } from '../lane-token.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import { destroyAll, makeFrom, readBack, refuseExisting } from '../make-object.ts'
import type { PairHandles } from '../make-pair.ts'
import { type MaterialName, rolesOf } from '../object-names.ts'
import { readPublicKey } from '../pair-attributes.ts'
import { provePair } from '../prove-pair.ts'
import { unlessUnable } from '../unless-unable.ts'
import { idTemplate, madeMaterial } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** What to make; part 0 as JSON. */
export interface KeyPairJob {
  readonly name: MaterialName
  /** Nothing is begun later: it could not be stopped in time. Milliseconds since the epoch. */
  readonly startBy: number
}

/** Objects of one name that a call which failed may have left. */
const LEFT_MAX = 4

/**
 * Makes both objects of a key pair that is a master key, reads their attributes back and uses the private key in every way
 * that it may be; destroys what it made when anything is wrong.
 *
 * Part 0: {@link KeyPairJob}. Results: `FoundMaterial` as JSON, SubjectPublicKeyInfo.
 */
export const createKeyPair: Procedure = (token, _, parts) => {
  const job = parseJsonPart(part(parts, 0)) as KeyPairJob
  const name = otherName(job.name)
  if (Date.now() > job.startBy)
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: 'The write lane was busy for too long.' })
  for (const role of rolesOf(name)) refuseExisting(token, name, role)
  const { publicKey, privateKey } = generate(token, name)
  try {
    readBack(token, privateKey, name, 'priv')
    readBack(token, publicKey, name, 'pub')
    const spki = publicKeyOf(token, name, { publicKey, privateKey })
    return [
      madeMaterial([
        ['priv', privateKey],
        ['pub', publicKey],
      ]),
      spki,
    ]
  } catch (error) {
    destroyAll(token, [privateKey, publicKey])
    throw error
  }
}

/** The public key of a pair, proved to be the one of the private key. */
export function publicKeyOf(token: LaneToken, name: OtherName, handles: PairHandles): Buffer {
  const algorithm = pairOfSpec(name.spec)
  invariant(algorithm, 'the spec is one of key pairs')
  const spki = readPublicKey(token, handles.publicKey, algorithm)
  provePair(token, name, handles.privateKey, spki)
  return spki
}

function generate(token: LaneToken, name: OtherName): PairHandles {
  const templates = masterPairTemplates(name, token.capabilities.allowedMechanisms)
  const cannot = `makes no key pair of spec ${name.spec} (${templates[0]?.mechanismName})`
  return unlessUnable(token, cannot, () => {
    try {
      return makeFrom(
        token,
        name,
        rolesOf(name),
        templates,
        ({ mechanism, publicTemplate, privateTemplate }) =>
          token.p11.C_GenerateKeyPair(token.session, { mechanism }, publicTemplate, privateTemplate),
      )
    } catch (error) {
      removeLeft(token, name)
      throw error
    }
  })
}

/** A token may have made one of the two before it failed. Never fails itself: what stays is found as `partial`. */
function removeLeft(token: LaneToken, name: OtherName): void {
  try {
    const left = rolesOf(name).flatMap((role) => findObjects(token, idTemplate(name, role), LEFT_MAX))
    destroyAll(token, left)
  } catch {
    token.discardSession()
  }
}
