import type { Migration } from './migration.ts'

/**
 * What versions were sealed with before invocations were counted, taken to be a quarter of the bound: enough for days at any
 * rate that a token has reached, and not so much that every old key is rotated at once.
 */
const UNCOUNTED = 2 ** 30

export const GCM_INVOCATIONS: Migration = {
  number: 2,
  name: 'gcm-invocations',
  statements: ({ bytewiseText }) => [
    `create table gcm_invocation (
      version_id ${bytewiseText} not null,
      leased bigint not null,
      primary key (version_id),
      foreign key (version_id) references key_version (version_id)
    )`,
    'create index gcm_invocation_by_leased on gcm_invocation (leased)',
    'create index master_key_by_primary_version on master_key (primary_version_id)',
    `insert into gcm_invocation (version_id, leased) select version_id, ${UNCOUNTED} from key_version`,
  ],
}
