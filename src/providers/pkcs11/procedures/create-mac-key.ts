import { timingSafeEqual } from 'node:crypto'
import { algorithmsOf, MAC_ALGORITHMS } from '../../../core/key-spec.ts'
import { TokenRefusal } from '../errors.ts'
import { macWith } from '../key-operations.ts'
import { macKeyTemplates, type OtherName, otherName } from '../key-templates.ts'
import type { LaneToken } from '../lane-token.ts'
import { parseJsonPart } from '../lanes/messages.ts'
import { destroyAll, makeFrom, readBack, refuseExisting } from '../make-object.ts'
import { CKM_GENERIC_SECRET_KEY_GEN } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import type { MaterialName } from '../object-names.ts'
import { unlessUnable } from '../unless-unable.ts'
import { madeMaterial } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

const PROOF_TEXT = Buffer.from('p11kms/mac/v1', 'utf8')

/**
 * Makes the secret of a MAC key, reads its attributes back and uses it; destroys it when anything is wrong.
 *
 * Part 0: `MaterialName`. Result: `FoundMaterial` as JSON.
 */
export const createMacKey: Procedure = (token, _, parts) => {
  const name = otherName(parseJsonPart(part(parts, 0)) as MaterialName)
  refuseExisting(token, name, 'mac')
  const handle = unlessUnable(token, `makes no key of spec ${name.spec} (CKM_GENERIC_SECRET_KEY_GEN)`, () =>
    generate(token, name),
  )
  try {
    readBack(token, handle, name, 'mac')
    proveMac(token, handle, name)
  } catch (error) {
    destroyAll(token, [handle])
    throw error
  }
  return [madeMaterial([['mac', handle]])]
}

function generate(token: LaneToken, name: OtherName): Handle {
  const templates = macKeyTemplates(name, token.capabilities.allowedMechanisms)
  return makeFrom(token, name, ['mac'], templates, (template) =>
    token.p11.C_GenerateKey(token.session, { mechanism: CKM_GENERIC_SECRET_KEY_GEN }, template),
  )
}

/** Makes a MAC twice. @throws {@link TokenRefusal} `UNSUPPORTED`; what the token answered. */
export function proveMac(token: LaneToken, handle: Handle, name: OtherName): void {
  for (const algorithm of algorithmsOf(name).mac) {
    const mechanism = `CKM_${MAC_ALGORITHMS[algorithm].hash.toUpperCase()}_HMAC`
    const cannot = `makes no MACs with a key of spec ${name.spec} (${mechanism})`
    const [first, second] = unlessUnable(token, cannot, () =>
      [1, 2].map(() => macWith(token, handle, algorithm, PROOF_TEXT)),
    )
    if (first && second && timingSafeEqual(first, second)) continue
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: 'The token makes two MACs of one message.',
      cannot,
    })
  }
}
