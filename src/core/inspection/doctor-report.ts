/** What `p11kms doctor` tells: plain data, printed as it is by `--json` (docs/operating/doctor.md). */

/** `ok`: works. `warn`: works, but look at it. `fail`: does not work, or will not. */
export type CheckState = 'ok' | 'warn' | 'fail'

/** Stable names of what is checked. */
export const CHECK_CODES = [
  'NODE',
  'CONFIG',
  'MODULE_FILE',
  'MODULE_SETTINGS',
  'LIBRARY',
  'TOKEN_FOUND',
  'TOKEN_STATE',
  'CLOCK',
  'PIN_SOURCE',
  'LOGIN',
  'KEY_GENERATION',
  'ATTRIBUTES',
  'AES_GCM',
  'KEY_WRAP',
  'RANDOM',
  'GENERATE_DATA_KEY',
  'GENERATE_DATA_KEY_WITHOUT_PLAINTEXT',
  'DECRYPT',
  'GENERATE_DATA_KEY_PAIR',
  'MASTER_KEY',
  'LANES',
  'STORE_FILE',
  'STORE_KEYS',
  'GATEWAY',
] as const
export type CheckCode = (typeof CHECK_CODES)[number]

export interface Check {
  readonly state: CheckState
  readonly code: CheckCode
  /** One sentence without its full stop, or several sentences. */
  readonly message: string
  /** What the operator does about it; there whenever `state` is not `ok`. */
  readonly next?: string
  /** How long one such operation took, the median where it was tried several times. */
  readonly ms?: number
}

/** Told of each check as soon as its outcome is known. */
export type Tell = (check: Check) => void

/** Checks of one thing. */
export interface CheckGroup {
  /** `host`, `configuration`, `store`, `gateway`, or `token`. */
  readonly group: 'host' | 'configuration' | 'token' | 'store' | 'gateway'
  /** Name of the token in the configuration. */
  readonly token?: string
  readonly checks: readonly Check[]
  /** Everything that the probe of a token found out. */
  readonly capabilities?: object
}

export interface DoctorReport {
  /** The configuration that was looked at. */
  readonly config: string
  readonly groups: readonly CheckGroup[]
  readonly summary: Readonly<Record<CheckState, number>>
}
