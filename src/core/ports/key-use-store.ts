import type { MasterKey } from '../key.ts'

/** Operations whose last success is kept per key (AWS KMS, "GetKeyLastUsage", KeyLastUsageTrackingOperation). */
export const TRACKED_OPERATIONS = [
  'Decapsulate',
  'Decrypt',
  'DeriveSharedSecret',
  'Encapsulate',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateMac',
  'ReEncrypt',
  'Sign',
  'Verify',
  'VerifyMac',
] as const

export type TrackedOperation = (typeof TRACKED_OPERATIONS)[number]

/** What a call is about to use a key for. */
export interface IntendedUse {
  readonly key: Pick<MasterKey, 'region' | 'keyId'>
  readonly operation: TrackedOperation
}

/** A successful use of a key for cryptography. */
export interface KeyUse extends Pick<MasterKey, 'region' | 'keyId'> {
  readonly operation: TrackedOperation
  /** Milliseconds since the epoch. */
  readonly usedAt: number
  /** The request that used it, where it has an id; at most 64 characters. */
  readonly requestId?: string
}

/**
 * What keys were last used for, one row per key.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`.
 */
export interface KeyUseStore {
  /**
   * Keeps each use in place of an earlier one of its key (STO-56). Uses of keys that are not there, or that are in `Creating`,
   * `Deleting` or `Deleted`, are left out.
   *
   * @param uses - At most 1000, of a key at most one.
   */
  putKeyUses(uses: readonly KeyUse[]): Promise<void>

  /** The latest use that was kept; `undefined` when none was. */
  getKeyUse(region: string, keyId: string): Promise<KeyUse | undefined>

  /** Since when uses are kept in this store. Milliseconds since the epoch. */
  keyUsesSince(): Promise<number>
}
