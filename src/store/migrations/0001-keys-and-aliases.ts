import type { Migration } from './migration.ts'

export const KEYS_AND_ALIASES: Migration = {
  number: 1,
  name: 'keys-and-aliases',
  statements: ({ bytewiseText }) => [
    // No region, and no reference to master_key: the replicas of a multi-region key will share its versions.
    `create table key_version (
      version_id ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      number integer not null,
      created_at bigint not null,
      primary key (version_id),
      unique (key_id, number)
    )`,
    `create table master_key (
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      account_id ${bytewiseText} not null,
      token text not null,
      spec text not null,
      usage text not null,
      state text not null,
      description text not null,
      created_at bigint not null,
      deletion_at bigint,
      primary_version_id ${bytewiseText} not null,
      revision bigint not null,
      primary key (region, key_id),
      foreign key (primary_version_id) references key_version (version_id)
    )`,
    'create index master_key_by_account on master_key (account_id, region, key_id)',
    'create index master_key_by_state on master_key (state, region, key_id)',
    `create table alias (
      account_id ${bytewiseText} not null,
      region ${bytewiseText} not null,
      name ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      created_at bigint not null,
      updated_at bigint not null,
      primary key (account_id, region, name),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    'create index alias_by_key on alias (region, key_id, account_id, name)',
    `create table heartbeat (
      id integer not null,
      beats bigint not null,
      primary key (id)
    )`,
    'insert into heartbeat (id, beats) values (1, 0)',
  ],
}
