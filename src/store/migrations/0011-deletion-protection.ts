import type { Migration } from './migration.ts'

export const DELETION_PROTECTION: Migration = {
  number: 11,
  name: 'deletion-protection',
  statements: ({ bytewiseText }) => [`alter table master_key add column deletion_protection ${bytewiseText}`],
}
