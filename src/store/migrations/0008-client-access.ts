import type { Migration } from './migration.ts'

export const CLIENT_ACCESS: Migration = {
  number: 8,
  name: 'client-access',
  statements: ({ bytewiseText }) => [
    `create table access_entry (
      account_id ${bytewiseText} not null,
      region ${bytewiseText} not null,
      kind text not null,
      name ${bytewiseText} not null,
      description text not null,
      content text not null,
      created_at bigint not null,
      primary key (account_id, region, kind, name)
    )`,
    `create table client_key (
      client_key_id ${bytewiseText} not null,
      account_id ${bytewiseText} not null,
      region ${bytewiseText} not null,
      access_point ${bytewiseText} not null,
      public_key text not null,
      created_at bigint not null,
      not_before bigint not null,
      not_after bigint not null,
      primary key (client_key_id)
    )`,
    'create index client_key_by_access_point on client_key (account_id, region, access_point, client_key_id)',
  ],
}
