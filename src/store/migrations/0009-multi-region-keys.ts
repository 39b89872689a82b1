import type { Migration } from './migration.ts'

export const MULTI_REGION_KEYS: Migration = {
  number: 9,
  name: 'multi-region-keys',
  statements: () => [
    'alter table master_key add column multi_region text',
    'alter table master_key add column deletion_window_days integer',
    'create index master_key_by_id on master_key (key_id, region)',
  ],
}
