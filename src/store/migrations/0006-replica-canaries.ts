import type { Migration } from './migration.ts'

export const REPLICA_CANARIES: Migration = {
  number: 6,
  name: 'replica-canaries',
  statements: ({ bytewiseText }) => [
    `create table replica_canary (
      version_id ${bytewiseText} not null,
      canary ${bytewiseText} not null,
      primary key (version_id),
      foreign key (version_id) references key_version (version_id)
    )`,
  ],
}
