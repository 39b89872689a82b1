import type { Migration } from './migration.ts'

/** Which import brings or brought the material of a version; null of material from before there were such ids. */
export const IMPORT_IDS: Migration = {
  number: 14,
  name: 'import-ids',
  statements: ({ bytewiseText }) => [`alter table key_version add column material_import_id ${bytewiseText}`],
}
