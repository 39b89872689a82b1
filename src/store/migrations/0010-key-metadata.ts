import type { Migration } from './migration.ts'

export const KEY_METADATA: Migration = {
  number: 10,
  name: 'key-metadata',
  statements: ({ bytewiseText }) => [
    `create table key_tag (
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      tag_key ${bytewiseText} not null,
      tag_value ${bytewiseText} not null,
      primary key (region, key_id, tag_key),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    `create table key_policy (
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      policy ${bytewiseText} not null,
      primary key (region, key_id),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    `create table key_grant (
      grant_id ${bytewiseText} not null,
      account_id ${bytewiseText} not null,
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      name ${bytewiseText},
      grantee ${bytewiseText} not null,
      retiring ${bytewiseText},
      operations text not null,
      constraints_json text,
      created_at bigint not null,
      token_key text not null,
      fingerprint ${bytewiseText},
      primary key (grant_id),
      unique (region, key_id, fingerprint),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    'create index key_grant_by_key on key_grant (region, key_id, grant_id)',
    'create index key_grant_by_grantee on key_grant (region, key_id, grantee, grant_id)',
    'create index key_grant_by_retiring on key_grant (account_id, region, retiring, grant_id) where retiring is not null',
    `create table key_use (
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      operation text not null,
      used_at bigint not null,
      request_id text,
      primary key (region, key_id),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
  ],
}
