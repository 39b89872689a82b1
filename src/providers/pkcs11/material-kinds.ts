import { type KeySpec, keySpecRow } from '../../core/key-spec.ts'
import { invariant } from '../../lib/invariant.ts'
import { PRIVATE_KEY_MATERIAL } from './import-private-key.ts'
import { AES_MATERIAL, MAC_MATERIAL } from './import-secret.ts'
import type { MaterialKind } from './material-kind.ts'

const KINDS = {
  aes: AES_MATERIAL,
  hmac: MAC_MATERIAL,
  rsa: PRIVATE_KEY_MATERIAL,
  ec: PRIVATE_KEY_MATERIAL,
  ed25519: PRIVATE_KEY_MATERIAL,
  'ml-dsa': undefined,
} as const satisfies Readonly<Record<ReturnType<typeof keySpecRow>['kind']['kind'], MaterialKind | undefined>>

/** How material of a spec is brought in. @throws InvariantError for one whose material is not imported. */
export function materialKindOf(spec: KeySpec = 'SYMMETRIC_DEFAULT'): MaterialKind {
  const kind = KINDS[keySpecRow(spec).kind.kind]
  invariant(kind, 'the material of such keys is imported')
  return kind
}
