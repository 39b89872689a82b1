import type { KeySpec, KeyState, KeyUsage } from '../key.ts'
import type { LibraryReport, SlotReport } from './token-report.ts'

/** An object of a token as it says of itself; key material is never asked for. */
export interface TokenObject {
  /** `SECRET_KEY`, `PUBLIC_KEY`, `CERTIFICATE` …, a number in hex where it has no name here; absent where it says nothing. */
  readonly class?: string
  /** `AES`, `RSA`, `EC` …, for keys. */
  readonly keyType?: string
  /** Length of a secret key or of an RSA modulus. */
  readonly bits?: number
  readonly label?: string
  /** CKA_ID in hex. */
  readonly id?: string
  /** What it says of itself; an attribute that the token does not know is absent. */
  readonly attributes: Readonly<Partial<Record<ObjectAttribute, boolean>>>
}

export const OBJECT_ATTRIBUTES = [
  'private',
  'modifiable',
  'copyable',
  'destroyable',
  'sensitive',
  'alwaysSensitive',
  'extractable',
  'neverExtractable',
  'local',
  'encrypt',
  'decrypt',
  'wrap',
  'unwrap',
  'sign',
  'verify',
  'derive',
] as const
export type ObjectAttribute = (typeof OBJECT_ATTRIBUTES)[number]

/** What an object of ours is for. */
export interface OurName {
  readonly keyId: string
  readonly versionNumber: number
  /** Of an AES key what encrypts and what wraps; of a key pair its two keys; what makes MACs. */
  readonly role: 'enc' | 'wrap' | 'priv' | 'pub' | 'mac'
  /** Both as the store has them, of keys that are not symmetric. */
  readonly spec?: KeySpec
  readonly usage?: KeyUsage
  /** As the store has it; absent where it does not know the object or was not read. */
  readonly versionId?: string
  /** State of the key in the store. */
  readonly state?: KeyState
  /** Whether the store says that its owner imported it. */
  readonly imported?: true
}

export interface ObjectReport extends TokenObject {
  /** Absent for objects that are not ours. */
  readonly ours?: OurName
}

/** `error`: keys are at risk or cannot be used. `warning`: look at it. `info`: good to know. */
export type Severity = 'error' | 'warning' | 'info'

/** Stable names of what an inventory can find (docs/operating/looking-into-tokens.md). */
export const FINDING_CODES = [
  'EXTRACTABLE',
  'NOT_SENSITIVE',
  'NOT_PRIVATE',
  'NOT_ALWAYS_SENSITIVE',
  'NOT_NEVER_EXTRACTABLE',
  'NOT_LOCAL',
  'IMPORTED',
  'IMPORT_PAIR',
  'MODIFIABLE',
  'COPYABLE',
  'WRONG_KIND',
  'WRONG_USAGE',
  'UNWRAPS_AND_DECRYPTS',
  'DUPLICATE_ID',
  'DUPLICATE_LABEL',
  'LABEL_AND_ID_DISAGREE',
  'UNKNOWN_OBJECT',
  'UNREADABLE_OBJECT',
  'OBJECT_WITHOUT_ROW',
  'OBJECT_OF_DELETED_KEY',
  'ROW_WITHOUT_OBJECT',
  'PARTIAL_VERSION',
  'CREATION_UNFINISHED',
  'NOT_ALL_OBJECTS',
  'STORE_NOT_READ',
] as const
export type FindingCode = (typeof FINDING_CODES)[number]

export interface Finding {
  readonly severity: Severity
  readonly code: FindingCode
  /** One sentence. */
  readonly message: string
  /** What the operator does about it. */
  readonly next: string
  /** Index of the object concerned. */
  readonly object?: number
  /** Key concerned. */
  readonly keyId?: string
}

/** A finding without its subject. */
export type Remark = Omit<Finding, 'object' | 'keyId'>

/** What is in a token, and what is wrong with it. */
export interface InventoryReport {
  readonly library: LibraryReport
  readonly slot: SlotReport
  readonly objects: readonly ObjectReport[]
  readonly findings: readonly Finding[]
  readonly summary: InventorySummary
}

export interface InventorySummary {
  readonly objects: number
  readonly ours: number
  /** Key versions in the store whose material this token holds; absent when the store was left out. */
  readonly versionsInStore?: number
  readonly errors: number
  readonly warnings: number
  readonly infos: number
}
