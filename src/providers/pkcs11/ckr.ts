/**
 * What becomes of the session and the connection after a return value.
 * `keep`: nothing happened to them, unless an operation was open. `discard`: the session is closed and a new one opened.
 * `suspect`: as discard, and a seal and an open on the control lane find out whether the connection is good.
 * `reconnect`: log in anew, and where that does not help initialize the library anew. `reinitialize`: the library lost its
 * state, so it is initialized anew at once. `operator`: as discard; where it ends an attempt to connect, nothing is tried
 * again before a person acted.
 */
export type SessionFate = 'keep' | 'discard' | 'suspect' | 'reconnect' | 'reinitialize' | 'operator'

export interface CkrRule {
  /** What the caller is told. `CIPHERTEXT_INVALID` is true of openings alone and `TOKEN_UNAVAILABLE` elsewhere. */
  readonly code: 'CIPHERTEXT_INVALID' | 'TOKEN_UNAVAILABLE' | 'UNSUPPORTED'
  readonly session: SessionFate
  /** What is tried once more by itself: on a new `session`, or with the key's `handle` looked up again. */
  readonly retry?: 'session' | 'handle'
  /** An opening may answer it to a bad ciphertext as well as for its row's reason: a canary tells which it was. */
  readonly ambiguous?: true
  /** Only a mistake of ours, or of the library, brings it about: it is counted. */
  readonly misuse?: true
  /** What an operator can do. */
  readonly hint: string
}

const HINTS = {
  absent: 'Connect the token; the service notices by itself.',
  broken: 'The service reconnects by itself; if it lasts, look into the log of the token.',
  capability:
    'The token does not do what the operation needs: compare its firmware and the policy of the partition.',
  ciphertext: 'Nothing: the caller sent bytes that do not authenticate.',
  exhausted: 'The token or its host ran out of memory or sessions: use fewer lanes or close other clients.',
  handle: 'The key is looked up once more; if it lasts, compare the objects in the token with the store.',
  library: 'The library lost its state and is initialized anew; if it lasts, start the process anew.',
  login:
    'The service logs in by itself; if it lasts, look for what logs it out: a timeout, an administrator.',
  misuse: 'Please report it with the log line: the session was used in a way that the standard forbids.',
  pin: 'The PIN is wrong. It is never tried twice, because tokens lock: correct the PIN source, or restart.',
  session: 'A new session is opened; if it lasts, look for an idle timeout or a reset of the token.',
  unexpected:
    'The standard has no such answer to what was asked: look into the log of the token, and report it.',
  unknown: 'Look the number up in the manual of the token. The connection is checked by itself.',
} as const

const away = { code: 'TOKEN_UNAVAILABLE', session: 'reconnect', hint: HINTS.absent } as const
const broken = { ...away, hint: HINTS.broken } as const
const library = { code: 'TOKEN_UNAVAILABLE', session: 'reinitialize', hint: HINTS.library } as const
const badCiphertext = { code: 'CIPHERTEXT_INVALID', session: 'keep', hint: HINTS.ciphertext } as const
const refused = { code: 'UNSUPPORTED', session: 'keep', hint: HINTS.capability } as const
const discard = { code: 'TOKEN_UNAVAILABLE', session: 'discard' } as const
const unexpected = { ...discard, hint: HINTS.unexpected } as const
const exhausted = { ...discard, hint: HINTS.exhausted } as const
const lostSession = { ...discard, retry: 'session', hint: HINTS.session } as const
const misuse = { ...discard, misuse: true, hint: HINTS.misuse } as const
const staleHandle = { ...discard, retry: 'handle', hint: HINTS.handle } as const
/** The handle may name another object by now; where it does not, the token cannot do it. */
const wrongKey = { code: 'UNSUPPORTED', session: 'keep', retry: 'handle', hint: HINTS.capability } as const
const operator = (hint: string) => ({ code: 'TOKEN_UNAVAILABLE', session: 'operator', hint }) as const

/**
 * For a return value without a row, a vendor's own among them: it may mean anything, a lost network included, so the
 * connection is checked.
 */
export const UNKNOWN_CKR_RULE: CkrRule = {
  code: 'TOKEN_UNAVAILABLE',
  session: 'suspect',
  ambiguous: true,
  hint: HINTS.unknown,
}

/**
 * Number of each return value of v2.40 to v3.1, and of v3.2 for parameter sets, and its meaning for the caller, the session and the connection, but for
 * CKR_OK; `docs/operating/recovery.md` shows it to operators.
 *
 * @see PKCS#11 v3.1, "Function return values"
 */
const ROWS = {
  CKR_CANCEL: [0x1, unexpected],
  CKR_HOST_MEMORY: [0x2, exhausted],
  CKR_SLOT_ID_INVALID: [0x3, library],
  CKR_GENERAL_ERROR: [0x5, { ...broken, ambiguous: true }],
  CKR_FUNCTION_FAILED: [0x6, { ...broken, ambiguous: true }],
  CKR_ARGUMENTS_BAD: [0x7, { ...refused, session: 'discard', ambiguous: true }],
  CKR_NO_EVENT: [0x8, unexpected],
  CKR_NEED_TO_CREATE_THREADS: [0x9, operator('The library must be allowed threads of its own.')],
  CKR_CANT_LOCK: [0xa, operator('The library cannot be used by several threads: ask its vendor.')],
  CKR_ATTRIBUTE_READ_ONLY: [0x10, refused],
  CKR_ATTRIBUTE_SENSITIVE: [0x11, refused],
  CKR_ATTRIBUTE_TYPE_INVALID: [0x12, refused],
  CKR_ATTRIBUTE_VALUE_INVALID: [0x13, refused],
  CKR_ACTION_PROHIBITED: [0x1b, refused],
  CKR_DATA_INVALID: [0x20, { ...refused, ambiguous: true }],
  CKR_DATA_LEN_RANGE: [0x21, { ...refused, ambiguous: true }],
  CKR_DEVICE_ERROR: [0x30, { ...broken, ambiguous: true }],
  CKR_DEVICE_MEMORY: [0x31, exhausted],
  CKR_DEVICE_REMOVED: [0x32, away],
  CKR_ENCRYPTED_DATA_INVALID: [0x40, badCiphertext],
  CKR_ENCRYPTED_DATA_LEN_RANGE: [0x41, badCiphertext],
  CKR_AEAD_DECRYPT_FAILED: [0x42, badCiphertext],
  CKR_FUNCTION_CANCELED: [0x50, { ...lostSession, hint: HINTS.unexpected }],
  CKR_FUNCTION_NOT_PARALLEL: [0x51, unexpected],
  CKR_FUNCTION_NOT_SUPPORTED: [0x54, refused],
  CKR_KEY_HANDLE_INVALID: [0x60, staleHandle],
  CKR_KEY_SIZE_RANGE: [0x62, refused],
  CKR_KEY_TYPE_INCONSISTENT: [0x63, wrongKey],
  CKR_KEY_NOT_NEEDED: [0x64, unexpected],
  CKR_KEY_CHANGED: [0x65, unexpected],
  CKR_KEY_NEEDED: [0x66, unexpected],
  CKR_KEY_INDIGESTIBLE: [0x67, refused],
  CKR_KEY_FUNCTION_NOT_PERMITTED: [0x68, wrongKey],
  CKR_KEY_NOT_WRAPPABLE: [0x69, refused],
  CKR_KEY_UNEXTRACTABLE: [0x6a, refused],
  CKR_MECHANISM_INVALID: [0x70, refused],
  CKR_MECHANISM_PARAM_INVALID: [0x71, { ...refused, ambiguous: true }],
  CKR_OBJECT_HANDLE_INVALID: [0x82, staleHandle],
  CKR_OPERATION_ACTIVE: [0x90, { ...misuse, retry: 'session' }],
  CKR_OPERATION_NOT_INITIALIZED: [0x91, { ...misuse, retry: 'session' }],
  CKR_PIN_INCORRECT: [0xa0, operator(HINTS.pin)],
  CKR_PIN_INVALID: [0xa1, operator('The token does not take a PIN of that form: correct the PIN source.')],
  CKR_PIN_LEN_RANGE: [
    0xa2,
    operator('The token does not take a PIN of that length: correct the PIN source.'),
  ],
  CKR_PIN_EXPIRED: [0xa3, operator('The user PIN expired: set a new one, then put it into the PIN source.')],
  CKR_PIN_LOCKED: [0xa4, operator('The token locked the user PIN: its security officer sets a new one.')],
  CKR_SESSION_CLOSED: [0xb0, lostSession],
  CKR_SESSION_COUNT: [0xb1, exhausted],
  CKR_SESSION_HANDLE_INVALID: [0xb3, lostSession],
  CKR_SESSION_PARALLEL_NOT_SUPPORTED: [0xb4, misuse],
  CKR_SESSION_READ_ONLY: [0xb5, misuse],
  CKR_SESSION_EXISTS: [0xb6, unexpected],
  CKR_SESSION_READ_ONLY_EXISTS: [0xb7, unexpected],
  CKR_SESSION_READ_WRITE_SO_EXISTS: [0xb8, operator('Log the security officer out of the token.')],
  CKR_SIGNATURE_INVALID: [0xc0, unexpected],
  CKR_SIGNATURE_LEN_RANGE: [0xc1, unexpected],
  CKR_TEMPLATE_INCOMPLETE: [0xd0, refused],
  CKR_TEMPLATE_INCONSISTENT: [0xd1, refused],
  CKR_TOKEN_NOT_PRESENT: [0xe0, away],
  CKR_TOKEN_NOT_RECOGNIZED: [0xe1, broken],
  CKR_TOKEN_WRITE_PROTECTED: [0xe2, { ...refused, hint: 'The token is write-protected.' }],
  CKR_UNWRAPPING_KEY_HANDLE_INVALID: [0xf0, staleHandle],
  CKR_UNWRAPPING_KEY_SIZE_RANGE: [0xf1, refused],
  CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT: [0xf2, wrongKey],
  CKR_USER_ALREADY_LOGGED_IN: [0x100, unexpected],
  CKR_USER_NOT_LOGGED_IN: [0x101, { ...away, hint: HINTS.login }],
  CKR_USER_PIN_NOT_INITIALIZED: [0x102, operator('The token has no user PIN yet: initialize it.')],
  CKR_USER_TYPE_INVALID: [0x103, operator('The token does not know that role.')],
  CKR_USER_ANOTHER_ALREADY_LOGGED_IN: [0x104, operator('Another role is logged in through this library.')],
  CKR_USER_TOO_MANY_TYPES: [0x105, operator('Too many roles are logged in to the token: log others out.')],
  CKR_WRAPPED_KEY_INVALID: [0x110, badCiphertext],
  CKR_WRAPPED_KEY_LEN_RANGE: [0x112, badCiphertext],
  CKR_WRAPPING_KEY_HANDLE_INVALID: [0x113, staleHandle],
  CKR_WRAPPING_KEY_SIZE_RANGE: [0x114, refused],
  CKR_WRAPPING_KEY_TYPE_INCONSISTENT: [0x115, wrongKey],
  CKR_RANDOM_SEED_NOT_SUPPORTED: [0x120, refused],
  CKR_RANDOM_NO_RNG: [0x121, refused],
  CKR_DOMAIN_PARAMS_INVALID: [0x130, refused],
  CKR_CURVE_NOT_SUPPORTED: [0x140, refused],
  CKR_BUFFER_TOO_SMALL: [0x150, { ...misuse, ambiguous: true }],
  CKR_SAVED_STATE_INVALID: [0x160, unexpected],
  CKR_INFORMATION_SENSITIVE: [0x170, refused],
  CKR_STATE_UNSAVEABLE: [0x180, unexpected],
  CKR_CRYPTOKI_NOT_INITIALIZED: [0x190, library],
  CKR_CRYPTOKI_ALREADY_INITIALIZED: [0x191, unexpected],
  CKR_MUTEX_BAD: [0x1a0, library],
  CKR_MUTEX_NOT_LOCKED: [0x1a1, library],
  CKR_NEW_PIN_MODE: [0x1b0, operator('The token asks for a new PIN: set one.')],
  CKR_NEXT_OTP: [0x1b1, operator('The token asks for a one-time password, which a service cannot give.')],
  CKR_EXCEEDED_MAX_ITERATIONS: [0x1b5, unexpected],
  CKR_FIPS_SELF_TEST_FAILED: [0x1b6, library],
  CKR_LIBRARY_LOAD_FAILED: [0x1b7, library],
  CKR_PIN_TOO_WEAK: [0x1b8, operator('The token does not take so weak a PIN: set another.')],
  CKR_PUBLIC_KEY_INVALID: [0x1b9, refused],
  CKR_FUNCTION_REJECTED: [0x200, { ...refused, hint: 'Somebody at the token refused the operation.' }],
  CKR_TOKEN_RESOURCE_EXCEEDED: [0x201, exhausted],
  CKR_OPERATION_CANCEL_FAILED: [0x202, unexpected],
  CKR_KEY_EXHAUSTED: [0x203, refused],
  CKR_PARAMETER_SET_NOT_SUPPORTED: [0x209, refused],
} as const satisfies Readonly<Record<`CKR_${string}`, readonly [number: number, rule: CkrRule]>>

const entries = Object.entries(ROWS) as [name: string, row: readonly [number, CkrRule]][]

/** The rule of each return value by its name. */
export const CKR_RULES: Readonly<Record<string, CkrRule>> = Object.fromEntries(
  entries.map(([name, [, rule]]) => [name, rule]),
)

/** Names of return values by their number, our own: pkcs11js knows those of v2.40 only. */
export const CKR_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  entries.map(([name, [number]]) => [number, name]),
)
