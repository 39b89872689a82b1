import type { Migration } from './migration.ts'

export const IMPORTED_MATERIAL: Migration = {
  number: 13,
  name: 'imported-material',
  statements: ({ bytewiseText }) => [
    // Null is AWS_KMS: the token made the material.
    'alter table master_key add column origin text',
    'alter table key_version add column material_state text',
    'alter table key_version add column material_since bigint',
    'alter table key_version add column material_canary text',
    'alter table key_version add column material_expires_at bigint',
    'alter table key_version add column material_description text',
    'create index key_version_by_expiry on key_version (material_expires_at) where material_expires_at is not null',
    'create index key_version_in_motion on key_version (material_state, material_since) where material_state is not null',
    `create table import_pair (
      pair_id ${bytewiseText} not null,
      account_id ${bytewiseText} not null,
      region ${bytewiseText} not null,
      key_id ${bytewiseText} not null,
      token text not null,
      algorithm text not null,
      spec text not null,
      secret_hash text not null,
      state text not null,
      created_at bigint not null,
      expires_at bigint not null,
      primary key (pair_id),
      foreign key (region, key_id) references master_key (region, key_id)
    )`,
    'create index import_pair_by_key on import_pair (region, key_id)',
    'create index import_pair_by_state on import_pair (state, expires_at)',
  ],
}
