import type { Migration } from './migration.ts'

export const ROTATION_SCHEDULES: Migration = {
  number: 7,
  name: 'rotation-schedules',
  statements: () => [
    'alter table master_key add column rotation_period_days integer',
    'alter table master_key add column rotation_next_at bigint',
    'alter table master_key add column pending_version_rotation text',
    'alter table key_version add column rotation_type text',
    'alter table key_version add column rotated_at bigint',
    // Before schedules, only the bound of GCM invocations rotated keys.
    "update key_version set rotation_type = 'AUTOMATIC', rotated_at = created_at where number > 1",
    "update master_key set pending_version_rotation = 'AUTOMATIC' where pending_version_id is not null",
    'create index master_key_by_rotation on master_key (rotation_next_at) where rotation_next_at is not null',
  ],
}
