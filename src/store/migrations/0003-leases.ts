import type { Migration } from './migration.ts'

export const LEASES: Migration = {
  number: 3,
  name: 'leases',
  statements: ({ bytewiseText }) => [
    `create table lease (
      name ${bytewiseText} not null,
      holder ${bytewiseText} not null,
      expires_at bigint not null,
      primary key (name)
    )`,
  ],
}
