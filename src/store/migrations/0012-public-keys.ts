import type { Migration } from './migration.ts'

/** SubjectPublicKeyInfo in base64 of versions that are key pairs; null of all others, and of a pair that is being made. */
export const PUBLIC_KEYS: Migration = {
  number: 12,
  name: 'public-keys',
  statements: ({ bytewiseText }) => [`alter table key_version add column public_key ${bytewiseText}`],
}
