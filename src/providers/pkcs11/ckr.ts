/**
 * What becomes of the session and the connection after a return value.
 * `keep`: nothing happened to them. `discard`: the session is closed and a new one opened. `relogin`: the login is
 * lost, log in again. `reinitialize`: the token is gone, drain, C_Finalize, C_Initialize. `operator`: as discard, and
 * nothing is tried again before a person acted.
 */
export type SessionFate = 'keep' | 'discard' | 'relogin' | 'reinitialize' | 'operator'

export interface CkrRule {
  readonly code: 'CIPHERTEXT_INVALID' | 'TOKEN_UNAVAILABLE' | 'UNSUPPORTED'
  readonly session: SessionFate
  /** What is tried once more by itself: on a new `session`, or with the key's `handle` looked up again. */
  readonly retry?: 'session' | 'handle'
  /** What an operator can do. */
  readonly hint?: string
}

const discard = { code: 'TOKEN_UNAVAILABLE', session: 'discard' } as const
const gone = { code: 'TOKEN_UNAVAILABLE', session: 'reinitialize' } as const
const badCiphertext = { code: 'CIPHERTEXT_INVALID', session: 'keep' } as const
const refused = { code: 'UNSUPPORTED', session: 'keep' } as const
const operator = { code: 'TOKEN_UNAVAILABLE', session: 'operator' } as const
const EXHAUSTED =
  'The token or its host ran out of memory or sessions: use fewer lanes or close other clients.'
const CAPABILITY =
  'The token does not do what the operation needs: compare its firmware and the policy of the partition.'

/** For a return value without a row: give up the session, keep the connection. */
export const UNKNOWN_CKR_RULE: CkrRule = discard

/**
 * Meaning of each return value for the caller and for the session. An opening that answers CKR_GENERAL_ERROR or
 * CKR_FUNCTION_FAILED never gets here before a canary told a broken device from a wrong tag (`procedures/open.ts`).
 *
 * @see PKCS#11 v3.1, "Function return values"
 */
export const CKR_RULES: Readonly<Record<string, CkrRule>> = {
  CKR_SESSION_HANDLE_INVALID: { ...discard, retry: 'session' },
  CKR_SESSION_CLOSED: { ...discard, retry: 'session' },
  CKR_OPERATION_ACTIVE: { ...discard, retry: 'session' },
  CKR_OPERATION_NOT_INITIALIZED: { ...discard, retry: 'session' },
  CKR_OBJECT_HANDLE_INVALID: { ...discard, retry: 'handle' },
  CKR_KEY_HANDLE_INVALID: { ...discard, retry: 'handle' },
  CKR_WRAPPING_KEY_HANDLE_INVALID: { ...discard, retry: 'handle' },
  CKR_UNWRAPPING_KEY_HANDLE_INVALID: { ...discard, retry: 'handle' },
  CKR_USER_NOT_LOGGED_IN: { code: 'TOKEN_UNAVAILABLE', session: 'relogin' },
  CKR_SESSION_COUNT: { ...discard, hint: EXHAUSTED },
  CKR_HOST_MEMORY: { ...discard, hint: EXHAUSTED },
  CKR_DEVICE_MEMORY: { ...discard, hint: EXHAUSTED },
  CKR_DEVICE_ERROR: gone,
  CKR_DEVICE_REMOVED: gone,
  CKR_TOKEN_NOT_PRESENT: { ...gone, hint: 'Connect the token; the service notices by itself.' },
  CKR_TOKEN_NOT_RECOGNIZED: gone,
  CKR_SLOT_ID_INVALID: gone,
  CKR_GENERAL_ERROR: gone,
  CKR_FUNCTION_FAILED: gone,
  CKR_CRYPTOKI_NOT_INITIALIZED: gone,
  CKR_PIN_INCORRECT: {
    ...operator,
    hint: 'The PIN is wrong. It is never tried twice, because tokens lock: correct the PIN source, then restart.',
  },
  CKR_PIN_INVALID: { ...operator, hint: 'The token does not take a PIN of that form.' },
  CKR_PIN_LEN_RANGE: { ...operator, hint: 'The token does not take a PIN of that length.' },
  CKR_PIN_LOCKED: {
    ...operator,
    hint: 'The token locked the user PIN: its security officer sets a new one.',
  },
  CKR_PIN_EXPIRED: { ...operator, hint: 'The user PIN expired: set a new one.' },
  CKR_USER_PIN_NOT_INITIALIZED: { ...operator, hint: 'The token has no user PIN yet: initialize it.' },
  CKR_USER_TYPE_INVALID: { ...operator, hint: 'The token does not know that role.' },
  CKR_USER_ANOTHER_ALREADY_LOGGED_IN: {
    ...operator,
    hint: 'Another role is logged in through this library.',
  },
  CKR_ENCRYPTED_DATA_INVALID: badCiphertext,
  CKR_ENCRYPTED_DATA_LEN_RANGE: badCiphertext,
  CKR_AEAD_DECRYPT_FAILED: badCiphertext,
  CKR_WRAPPED_KEY_INVALID: badCiphertext,
  CKR_WRAPPED_KEY_LEN_RANGE: badCiphertext,
  CKR_MECHANISM_INVALID: { ...refused, hint: CAPABILITY },
  CKR_MECHANISM_PARAM_INVALID: { ...refused, hint: CAPABILITY },
  CKR_FUNCTION_NOT_SUPPORTED: { ...refused, hint: CAPABILITY },
  CKR_KEY_FUNCTION_NOT_PERMITTED: { ...refused, hint: CAPABILITY },
  CKR_KEY_NOT_WRAPPABLE: { ...refused, hint: CAPABILITY },
  CKR_KEY_UNEXTRACTABLE: { ...refused, hint: CAPABILITY },
  CKR_KEY_SIZE_RANGE: { ...refused, hint: CAPABILITY },
  CKR_TEMPLATE_INCOMPLETE: { ...refused, hint: CAPABILITY },
  CKR_TEMPLATE_INCONSISTENT: { ...refused, hint: CAPABILITY },
  CKR_ATTRIBUTE_TYPE_INVALID: { ...refused, hint: CAPABILITY },
  CKR_ATTRIBUTE_VALUE_INVALID: { ...refused, hint: CAPABILITY },
  CKR_TOKEN_WRITE_PROTECTED: { ...refused, hint: 'The token is write-protected.' },
}

/**
 * Names of return values, our own: pkcs11js knows those of v2.40 only.
 *
 * @see PKCS#11 v3.1, header file `pkcs11t.h`
 */
export const CKR_NAMES: Readonly<Record<number, string>> = {
  2: 'CKR_HOST_MEMORY',
  3: 'CKR_SLOT_ID_INVALID',
  5: 'CKR_GENERAL_ERROR',
  6: 'CKR_FUNCTION_FAILED',
  7: 'CKR_ARGUMENTS_BAD',
  10: 'CKR_CANT_LOCK',
  16: 'CKR_ATTRIBUTE_READ_ONLY',
  17: 'CKR_ATTRIBUTE_SENSITIVE',
  18: 'CKR_ATTRIBUTE_TYPE_INVALID',
  19: 'CKR_ATTRIBUTE_VALUE_INVALID',
  27: 'CKR_ACTION_PROHIBITED',
  32: 'CKR_DATA_INVALID',
  33: 'CKR_DATA_LEN_RANGE',
  48: 'CKR_DEVICE_ERROR',
  49: 'CKR_DEVICE_MEMORY',
  50: 'CKR_DEVICE_REMOVED',
  64: 'CKR_ENCRYPTED_DATA_INVALID',
  65: 'CKR_ENCRYPTED_DATA_LEN_RANGE',
  66: 'CKR_AEAD_DECRYPT_FAILED',
  80: 'CKR_FUNCTION_CANCELED',
  84: 'CKR_FUNCTION_NOT_SUPPORTED',
  96: 'CKR_KEY_HANDLE_INVALID',
  98: 'CKR_KEY_SIZE_RANGE',
  99: 'CKR_KEY_TYPE_INCONSISTENT',
  104: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
  105: 'CKR_KEY_NOT_WRAPPABLE',
  106: 'CKR_KEY_UNEXTRACTABLE',
  112: 'CKR_MECHANISM_INVALID',
  113: 'CKR_MECHANISM_PARAM_INVALID',
  130: 'CKR_OBJECT_HANDLE_INVALID',
  144: 'CKR_OPERATION_ACTIVE',
  145: 'CKR_OPERATION_NOT_INITIALIZED',
  160: 'CKR_PIN_INCORRECT',
  161: 'CKR_PIN_INVALID',
  162: 'CKR_PIN_LEN_RANGE',
  163: 'CKR_PIN_EXPIRED',
  164: 'CKR_PIN_LOCKED',
  176: 'CKR_SESSION_CLOSED',
  177: 'CKR_SESSION_COUNT',
  179: 'CKR_SESSION_HANDLE_INVALID',
  180: 'CKR_SESSION_PARALLEL_NOT_SUPPORTED',
  181: 'CKR_SESSION_READ_ONLY',
  182: 'CKR_SESSION_EXISTS',
  208: 'CKR_TEMPLATE_INCOMPLETE',
  209: 'CKR_TEMPLATE_INCONSISTENT',
  224: 'CKR_TOKEN_NOT_PRESENT',
  225: 'CKR_TOKEN_NOT_RECOGNIZED',
  226: 'CKR_TOKEN_WRITE_PROTECTED',
  240: 'CKR_UNWRAPPING_KEY_HANDLE_INVALID',
  241: 'CKR_UNWRAPPING_KEY_SIZE_RANGE',
  256: 'CKR_USER_ALREADY_LOGGED_IN',
  257: 'CKR_USER_NOT_LOGGED_IN',
  258: 'CKR_USER_PIN_NOT_INITIALIZED',
  259: 'CKR_USER_TYPE_INVALID',
  260: 'CKR_USER_ANOTHER_ALREADY_LOGGED_IN',
  261: 'CKR_USER_TOO_MANY_TYPES',
  272: 'CKR_WRAPPED_KEY_INVALID',
  274: 'CKR_WRAPPED_KEY_LEN_RANGE',
  275: 'CKR_WRAPPING_KEY_HANDLE_INVALID',
  276: 'CKR_WRAPPING_KEY_SIZE_RANGE',
  288: 'CKR_RANDOM_SEED_NOT_SUPPORTED',
  289: 'CKR_RANDOM_NO_RNG',
  320: 'CKR_CURVE_NOT_SUPPORTED',
  336: 'CKR_BUFFER_TOO_SMALL',
  400: 'CKR_CRYPTOKI_NOT_INITIALIZED',
  401: 'CKR_CRYPTOKI_ALREADY_INITIALIZED',
  416: 'CKR_MUTEX_BAD',
  512: 'CKR_FUNCTION_REJECTED',
  514: 'CKR_OPERATION_CANCEL_FAILED',
}
