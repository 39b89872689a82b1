import type { OurName, TokenObject } from '../../../../core/inspection/object-report.ts'
import { objectLabel, parseObjectLabel } from '../../object-names.ts'
import type { KnownKeys, KnownVersion } from './known-versions.ts'

/** What an object is to us, by its CKA_ID and by its label: the two may tell different things. */
export interface Identity {
  readonly byId?: OurName
  readonly byLabel?: OurName
  /** Label that the object whose CKA_ID this is ought to have. */
  readonly labelOfId?: string
}

/** CKA_ID decides what p11kms uses an object for; without the store there is the label alone. */
export function oursOf({ byId, byLabel }: Identity): OurName | undefined {
  return byId ?? byLabel
}

export function identify(object: TokenObject, known: KnownKeys | undefined): Identity {
  const found = object.id === undefined ? undefined : known?.byId.get(object.id)
  const named = parseObjectLabel(object.label ?? '')
  const version = named && known?.versions.find((one) => isVersion(one, named.keyId, named.versionNumber))
  return {
    ...(found && {
      byId: nameOf(found.version, found.role),
      labelOfId: objectLabel(found.version, found.role),
    }),
    ...(named && { byLabel: version ? nameOf(version, named.role) : named }),
  }
}

function isVersion(version: KnownVersion, keyId: string, versionNumber: number): boolean {
  return version.keyId === keyId && version.versionNumber === versionNumber
}

function nameOf(known: KnownVersion, role: OurName['role']): OurName {
  const { settled: _, importId: __, ...version } = known
  return { ...version, role }
}
