import type { Finding, FindingCode, TokenObject } from '../../../../core/inspection/object-report.ts'
import { type ObjectRole, objectId, objectLabel, rolesOf } from '../../object-names.ts'
import type { KnownKeys, KnownVersion } from './known-versions.ts'
import { nameOf } from './names.ts'

/** A row of the inventory: what it is, and whether it is ours. */
export interface Row {
  readonly object: TokenObject
  readonly ours: boolean
}

/**
 * Objects of one class that share a CKA_ID or a label. A public key, its private key and its certificate share both by
 * custom.
 */
export function lintDuplicates(rows: readonly Row[]): Finding[] {
  return [
    ...duplicatesBy(rows, 'DUPLICATE_ID', 'CKA_ID', ({ id }) => id),
    ...duplicatesBy(rows, 'DUPLICATE_LABEL', 'label', ({ label }) => label),
  ]
}

function duplicatesBy(
  rows: readonly Row[],
  code: FindingCode,
  what: string,
  valueOf: (object: TokenObject) => string | undefined,
): Finding[] {
  const seen = new Map<string, string>()
  return rows.flatMap(({ object, ours }, index): Finding[] => {
    const value = valueOf(object)
    if (value === undefined) return []
    const key = `${object.class}/${value}`
    const first = seen.get(key)
    if (first === undefined) {
      seen.set(key, nameOf(object))
      return []
    }
    const message = `${nameOf(object)} has the ${what} of another ${object.class} object.`
    const next = ours
      ? 'p11kms refuses a key that is there twice: find out who made the second object, and remove that one.'
      : 'It is not an object of p11kms: ask whoever made it.'
    return [{ severity: ours ? 'error' : 'info', code, message, next, object: index }]
  })
}

/** Versions in the store that the token does not hold, or holds by half. */
export function lintVersions(objects: readonly TokenObject[], known: KnownKeys): Finding[] {
  const ids = new Set(objects.map(({ id }) => id))
  return known.versions.flatMap((version) => {
    const missing = rolesOf(version).filter((role) => !ids.has(objectId(version, role).toString('hex')))
    const told = missing.length === 0 ? undefined : lintVersion(version, missing)
    return told ? [{ ...told, keyId: version.keyId }] : []
  })
}

function lintVersion(version: KnownVersion, missing: readonly ObjectRole[]): Finding | undefined {
  const { state, settled, keyId, versionNumber } = version
  const name = `Version ${versionNumber} of key ${keyId} (${state})`
  if (state === 'Deleting' || state === 'Deleted') return undefined
  if (state === 'Creating' || !settled) {
    const message = `${name} is being made, or its creation was cut off.`
    const next = 'A running service finishes it or rolls it back within keys.maintenanceIntervalMs.'
    return { severity: 'info', code: 'CREATION_UNFINISHED', message, next }
  }
  const whole = missing.length === rolesOf(version).length
  const labels = missing.map((role) => objectLabel(version, role)).join(', ')
  return {
    severity: 'error',
    code: whole ? 'ROW_WITHOUT_OBJECT' : 'PARTIAL_VERSION',
    message: `${name} is in the store, but the token does not hold ${labels}.`,
    next: `${lossOf(version)}: restore the token from a backup, or check that the right token is configured.`,
  }
}

function lossOf({ spec }: KnownVersion): string {
  return spec === undefined ? 'What it sealed cannot be opened' : 'Requests that need its material fail'
}
