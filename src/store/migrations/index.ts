import { KEYS_AND_ALIASES } from './0001-keys-and-aliases.ts'
import { GCM_INVOCATIONS } from './0002-gcm-invocations.ts'
import { LEASES } from './0003-leases.ts'
import { KEYS_BY_TOKEN } from './0004-keys-by-token.ts'
import { PENDING_VERSIONS } from './0005-pending-versions.ts'
import { REPLICA_CANARIES } from './0006-replica-canaries.ts'
import { ROTATION_SCHEDULES } from './0007-rotation-schedules.ts'
import { CLIENT_ACCESS } from './0008-client-access.ts'
import { MULTI_REGION_KEYS } from './0009-multi-region-keys.ts'
import { KEY_METADATA } from './0010-key-metadata.ts'
import { DELETION_PROTECTION } from './0011-deletion-protection.ts'
import { PUBLIC_KEYS } from './0012-public-keys.ts'
import { IMPORTED_MATERIAL } from './0013-imported-material.ts'
import { IMPORT_IDS } from './0014-import-ids.ts'
import { POLICIES_BY_LANGUAGE } from './0015-policies-by-language.ts'
import { PROTECTION_LEVELS } from './0016-protection-levels.ts'
import type { Migration } from './migration.ts'

/** Every migration, in order. New ones are appended. */
export const MIGRATIONS: readonly Migration[] = [
  KEYS_AND_ALIASES,
  GCM_INVOCATIONS,
  LEASES,
  KEYS_BY_TOKEN,
  PENDING_VERSIONS,
  REPLICA_CANARIES,
  ROTATION_SCHEDULES,
  CLIENT_ACCESS,
  MULTI_REGION_KEYS,
  KEY_METADATA,
  DELETION_PROTECTION,
  PUBLIC_KEYS,
  IMPORTED_MATERIAL,
  IMPORT_IDS,
  POLICIES_BY_LANGUAGE,
  PROTECTION_LEVELS,
]
