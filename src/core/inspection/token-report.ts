/**
 * What operators' commands tell of libraries, slots and tokens: plain data, printed as it is by `--json`, so that a
 * field once given keeps its name and meaning (docs/cli.md).
 */

/** A PKCS#11 library and what is behind it. */
export interface ModuleReport {
  /** Path as configured or given. */
  readonly module: string
  /** Names in the configuration of the tokens that are reached through it. */
  readonly configured: readonly string[]
  readonly library?: LibraryReport
  readonly slots: readonly SlotReport[]
  /** Why nothing could be learnt from it. */
  readonly problem?: ProblemReport
}

/** What went wrong and what to do about it. */
export interface ProblemReport {
  readonly reason: string
  readonly next?: string
}

/** C_GetInfo. */
export interface LibraryReport {
  /** Absolute path without symbolic links. */
  readonly path: string
  readonly manufacturer: string
  readonly description: string
  /** `major.minor`. */
  readonly version: string
  readonly cryptokiVersion: string
}

export interface SlotReport {
  /** CK_SLOT_ID; many libraries give other numbers after a restart. */
  readonly slotId: number
  readonly description: string
  readonly hardware: boolean
  readonly token?: TokenReport
  /** Why the token in it could not be read. */
  readonly problem?: ProblemReport
}

/** C_GetTokenInfo. */
export interface TokenReport {
  readonly label: string
  readonly serial: string
  readonly manufacturer: string
  readonly model: string
  readonly firmware: string
  readonly hardware: string
  /** Flags in words, `initialized`, `user-pin-locked` and the like. */
  readonly flags: readonly string[]
  readonly sessions: SessionCounts
  readonly pinBytes: { readonly min: number; readonly max: number }
  /** The token's clock, RFC 3339; absent where it has none. */
  readonly clock?: string
  /** RFC 7512 URI for `tokens[].uri`; absent for a token that is not initialized. */
  readonly uri?: string
  /** Name of the token in the configuration. */
  readonly configuredAs?: string
}

/** A number of sessions; libraries may leave it open. */
export type SessionCount = number | 'unlimited' | 'unknown'

/** Sessions of this very process; a token counts those of others elsewhere. */
export interface SessionCounts {
  readonly open: SessionCount
  readonly max: SessionCount
  readonly readWriteOpen: SessionCount
  readonly readWriteMax: SessionCount
}

export interface MechanismReport {
  /** `CKM_…`, or its number in hex where it has no name here. */
  readonly name: string
  readonly number: number
  /** As the library gives them: bits or bytes, by mechanism. */
  readonly keySize: { readonly min: number; readonly max: number }
  /** `encrypt`, `wrap`, `generate` and the like. */
  readonly flags: readonly string[]
  /** What p11kms does with it. */
  readonly usedFor?: string
}

/** One token with what its library lists for it. */
export interface TokenDetails {
  readonly library: LibraryReport
  readonly slot: SlotReport
  readonly mechanisms: readonly MechanismReport[]
}
