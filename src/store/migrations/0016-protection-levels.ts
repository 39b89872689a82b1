import type { Migration } from './migration.ts'

export const PROTECTION_LEVELS: Migration = {
  number: 16,
  name: 'protection-levels',
  statements: () => ['alter table master_key add column protection_level text'],
}
