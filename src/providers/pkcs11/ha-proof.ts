import { isKmsError } from '../../core/errors.ts'
import type { CanaryStore } from '../../core/ports/canary-store.ts'
import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import type { KeyStore } from '../../core/ports/key-store.ts'
import type { RepeatedLog } from '../../lib/repeated-log.ts'
import type { SealWays, VersionCanary } from './ha-canary.ts'
import type { Pkcs11Provider } from './provider.ts'

/**
 * What a call needs the replica to be proven for. `openInside` is a payload that was wrapped (mode W1 or W2); `use` is what private
 * keys and MAC keys do.
 */
export type Need = 'open' | 'openInside' | 'seal' | 'sealInside' | 'use'

/** What is known of a version's copy in the replica. `refused`: it is other material, or could be extracted. */
export type CopyState = 'proven' | 'refused' | 'unproven'

/** What a proof found. */
export interface Finding {
  readonly state: CopyState
  /** The tokens disagree, which will hardly mend itself: it is tried again ever more seldom. */
  readonly setback?: true
  /** Of a symmetric key: what the primary sealed. */
  readonly canary?: VersionCanary
  /** What may be asked of the replica besides opening. */
  readonly seals: SealWays
  /** Of a key pair or a MAC key: it may be used. */
  readonly uses?: true
}

export const NO_WAYS: SealWays = { text: '' }
export const UNPROVEN: Finding = { state: 'unproven', seals: NO_WAYS }

/** Why a copy is refused. */
export interface Refusal {
  /** What is wrong with it, as the end of a sentence. */
  readonly why: string
  readonly cause?: unknown
}

/** Where canaries are kept, and the public keys of key pairs. */
export type ProofStore = CanaryStore & Pick<KeyStore, 'listRegions'>

/** What every proof is made with. */
export interface ProofParts {
  readonly primary: Pkcs11Provider
  readonly replica: Pkcs11Provider
  readonly store: ProofStore
  readonly log: RepeatedLog
}

/**
 * How the copies of one kind of key are proven.
 *
 * @typeParam Word - What stands for the primary's material, whether the primary is there or not.
 */
export interface CopyProof<Word> {
  /**
   * What the primary said of a version; made anew where it can be and has to be.
   *
   * @param known - What is remembered of an earlier proof.
   * @returns `undefined` where the primary never vouched for it, and is not there to do so now.
   */
  wordOf(ref: MasterKeyRef, known: Finding | undefined, options: CallOptions): Promise<Word | undefined>

  /** Whether the copy in the replica does what the primary's word is the measure of. It is there and has the attributes of a master key. */
  compare(ref: MasterKeyRef, word: Word, options: CallOptions): Promise<Finding | Refusal>
}

/** Tells that what the store has of a version is not the primary's. */
export function tellReplaced({ log }: ProofParts, { keyId, versionId }: MasterKeyRef, message: string): void {
  log.tell('error', `canary ${versionId}`, { keyId, versionId }, message)
}

/** A token that is busy or away for a moment. */
export function isPassing(error: unknown): boolean {
  return isKmsError(error, 'TOKEN_UNAVAILABLE') || isKmsError(error, 'TOKEN_TIMEOUT')
}
