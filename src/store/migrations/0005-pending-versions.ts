import type { Migration } from './migration.ts'

export const PENDING_VERSIONS: Migration = {
  number: 5,
  name: 'pending-versions',
  statements: ({ bytewiseText }) => [
    // No reference to key_version: a version joins that table when it is one.
    `alter table master_key add column pending_version_id ${bytewiseText}`,
    'alter table master_key add column pending_version_state text',
    'alter table master_key add column pending_version_at bigint',
    'create index master_key_in_rotation on master_key (region, key_id) where pending_version_id is not null',
  ],
}
