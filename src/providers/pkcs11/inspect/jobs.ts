import type { Check } from '../../../core/inspection/doctor-report.ts'
import type { TokenObject } from '../../../core/inspection/object-report.ts'
import type { LibraryReport, SlotReport, TokenDetails } from '../../../core/inspection/token-report.ts'
import type { TokenFault } from '../errors.ts'
import type { TokenCapabilities } from '../settings.ts'
import type { TokenCriteria } from '../token-selector.ts'

/** Which library to load, and how. */
export interface LibraryRequest {
  /** Absolute path without symbolic links. */
  readonly path: string
  readonly libraryParameters?: string
}

/** Which token of a library. */
export interface TokenRequest extends LibraryRequest {
  readonly criteria: TokenCriteria
}

export interface WalkRequest extends TokenRequest {
  /** Objects that are looked at; more may be there. */
  readonly objectsMax: number
  /** CKU number to log in as; CKU_USER when absent. */
  readonly userType?: number
}

/** What a token holds. */
export interface TokenWalk {
  readonly library: LibraryReport
  readonly slot: SlotReport
  readonly objects: readonly TokenObject[]
  /** Whether there are more objects than were looked at. */
  readonly cut: boolean
}

export interface ExamineRequest extends TokenRequest {
  /** CKU number to log in as; CKU_USER when absent. */
  readonly userType?: number
  /** As configured. */
  readonly lanes: number
  readonly allowHostMemory: boolean
  /** Makes and destroys token objects too. */
  readonly full: boolean
}

/** What is known of a token after it was tried, besides the checks that were told. */
export interface Examination {
  readonly capabilities?: TokenCapabilities
}

/** What a process of its own can be asked to find out: request and result of each job, plain data. */
export interface InspectionJobs {
  readonly listSlots: {
    readonly request: LibraryRequest
    readonly result: { readonly library: LibraryReport; readonly slots: readonly SlotReport[] }
  }
  readonly describeToken: { readonly request: TokenRequest; readonly result: TokenDetails }
  /** Logs in with the PIN. */
  readonly walkToken: { readonly request: WalkRequest; readonly result: TokenWalk }
  /** Logs in with the PIN where there is one, and tells checks as it goes. */
  readonly examineToken: { readonly request: ExamineRequest; readonly result: Examination }
}

export type InspectionJob = keyof InspectionJobs

/** What the inspecting process writes, one JSON text per line. */
export type InspectionMessage =
  /** Said before each call into the library, so that one which never returns has a name. */
  | { readonly kind: 'call'; readonly name: string }
  | { readonly kind: 'check'; readonly check: Check }
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly failure: InspectionFailure }

/** Why an inspection came to nothing. */
export type InspectionFailure =
  /** The library could not be loaded; `message` is the dynamic linker's. */
  | { readonly kind: 'load'; readonly message: string }
  | { readonly kind: 'fault'; readonly fault: TokenFault }
  /** Nothing came back in time from the call named. */
  | { readonly kind: 'hang'; readonly call: string; readonly afterMs: number }
  /** The process ended in the call named. */
  | { readonly kind: 'crash'; readonly call: string; readonly how: string }
