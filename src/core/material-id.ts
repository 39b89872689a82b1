import { hash } from 'node:crypto'
import type { KeyVersion } from './key.ts'

/** Keeps the key material ids apart from every other hash of a version id. */
const DOMAIN = 'p11kms/aws/key-material-id\0'
const known = new WeakMap<KeyVersion, string>()

/** 64 lower-case hexadecimal digits that name a version for ever: SHA-256 over a domain tag and the version id. */
export function materialIdOf(versionId: string): string {
  return hash('sha256', DOMAIN + versionId, 'hex')
}

/** {@link materialIdOf} a version, computed once. */
export function keyMaterialId(version: KeyVersion): string {
  const id = known.get(version) ?? materialIdOf(version.versionId)
  known.set(version, id)
  return id
}
