import type { Migration } from './migration.ts'

export const KEYS_BY_TOKEN: Migration = {
  number: 4,
  name: 'keys-by-token',
  statements: () => ['create index master_key_by_token on master_key (token, state, region, key_id)'],
}
