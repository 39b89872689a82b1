import type { ObjectAttribute } from '../../../core/inspection/object-report.ts'
import type { CKA } from '../templates.ts'

/** The attributes of a report by their names in the standard, without `CKA_`. */
export const ATTRIBUTE_NAMES: Readonly<Record<ObjectAttribute, keyof typeof CKA>> = {
  private: 'PRIVATE',
  modifiable: 'MODIFIABLE',
  copyable: 'COPYABLE',
  destroyable: 'DESTROYABLE',
  sensitive: 'SENSITIVE',
  alwaysSensitive: 'ALWAYS_SENSITIVE',
  extractable: 'EXTRACTABLE',
  neverExtractable: 'NEVER_EXTRACTABLE',
  local: 'LOCAL',
  encrypt: 'ENCRYPT',
  decrypt: 'DECRYPT',
  wrap: 'WRAP',
  unwrap: 'UNWRAP',
  sign: 'SIGN',
  verify: 'VERIFY',
  derive: 'DERIVE',
}
