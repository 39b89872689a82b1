import type { Migration } from './migration.ts'

/** A key has a policy in each language, so that the language is part of what names one: the table is made anew. */
export const POLICIES_BY_LANGUAGE: Migration = {
  number: 15,
  name: 'policies-by-language',
  statements: ({ bytewiseText }) => [
    `create table key_policy_by_language (
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      language ${bytewiseText} not null,
      policy ${bytewiseText} not null,
      primary key (region, key_id, language),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    `insert into key_policy_by_language (region, key_id, language, policy)
      select region, key_id, 'AWS', policy from key_policy`,
    'drop table key_policy',
    'alter table key_policy_by_language rename to key_policy',
  ],
}
