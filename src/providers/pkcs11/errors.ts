import { ciphertextInvalid, KmsError } from '../../core/errors.ts'
import { invariant } from '../../lib/invariant.ts'
import { CKR_NAMES, CKR_RULES, type CkrRule, UNKNOWN_CKR_RULE } from './ckr.ts'

/** A return value of Cryptoki as plain data, so that it survives the hop between threads. */
export interface CryptokiFault {
  readonly kind: 'cryptoki'
  /** `C_…` function that answered, as far as known. */
  readonly function: string
  /** `CKR_…` name, from our own table: pkcs11js calls everything newer than v2.40 CKR_VENDOR_DEFINED. */
  readonly name: string
  readonly number: number
}

/** A refusal of our own code on the token side, as plain data. */
export interface RefusalFault {
  readonly kind: 'refusal'
  readonly code: 'ALREADY_EXISTS' | 'CIPHERTEXT_INVALID' | 'TOKEN_UNAVAILABLE' | 'UNSUPPORTED'
  /** One sentence for operators. */
  readonly reason: string
  readonly hint?: string
  /**
   * Of `UNSUPPORTED`: what callers read, behind the name of the token: what it cannot do, with the name of the mechanism.
   */
  readonly cannot?: string
  /** Set when trying again cannot help until an operator acts. */
  readonly operator?: boolean
  /** Set when the connection is to be made anew. */
  readonly broken?: boolean
}

export type TokenFault = CryptokiFault | RefusalFault

/** The cause of a `KmsError` that came from a token: what an operator needs to find it in a vendor's manual. */
export class Pkcs11Error extends Error {
  override readonly name = 'Pkcs11Error'
  readonly token: string
  readonly fault: TokenFault
  readonly hint: string | undefined

  constructor(token: string, fault: TokenFault) {
    super(describeFault(fault))
    this.token = token
    this.fault = fault
    this.hint = hintFields(fault).hint
  }
}

/** Thrown on the token side by our own checks. */
export class TokenRefusal extends Error {
  override readonly name = 'TokenRefusal'
  readonly fault: RefusalFault

  constructor(fault: Omit<RefusalFault, 'kind'>) {
    super(fault.reason)
    this.fault = { kind: 'refusal', ...fault }
  }
}

/** The rule for a return value; one for everything that the table does not name. */
export function ruleOf(name: string): CkrRule {
  return CKR_RULES[name] ?? UNKNOWN_CKR_RULE
}

/** Whether an error is one return value of Cryptoki, whichever way pkcs11js chose to throw it. */
export function isCkr(error: unknown, name: string): boolean {
  return error instanceof Error && faultOf(error).name === name
}

/**
 * Reads a return value out of an error of pkcs11js. It throws `Pkcs11Error` with `code` and `method` from most
 * functions and a plain `Error('CKR_X:NNN')` from C_FindObjects, C_CreateObject and their like.
 *
 * @returns CKR_UNKNOWN with the error's own name as function where there is no return value in it.
 */
export function faultOf(error: Error): CryptokiFault {
  const { code, method } = error as { code?: unknown; method?: unknown }
  const match = /(CKR_\w+):(\d+)/.exec(error.message)
  const number = match ? Number(match[2]) : typeof code === 'number' && code > 0 ? code : undefined
  const called =
    typeof method === 'string' && method !== '' ? method : /\bC_[A-Z]\w+/.exec(error.stack ?? '')?.[0]
  if (number === undefined) {
    return { kind: 'cryptoki', function: called ?? error.name, name: 'CKR_UNKNOWN', number: 0 }
  }
  const name = CKR_NAMES[number] ?? (number >= 0x8000_0000 ? 'CKR_VENDOR_DEFINED' : 'CKR_UNKNOWN')
  return { kind: 'cryptoki', function: called ?? 'C_?', name, number }
}

/** How a return value is kept and compared: by name, or by number where it has none of its own. */
export function ckrOf(fault: TokenFault): string {
  if (fault.kind === 'refusal') return fault.code
  return CKR_NAMES[fault.number] ?? `0x${fault.number.toString(16)}`
}

/** The plain data that crosses to the main thread for anything thrown on the token side. */
export function toFault(error: unknown): TokenFault {
  if (error instanceof TokenRefusal) return error.fault
  return faultOf(error instanceof Error ? error : new Error(String(error)))
}

/** One sentence for a log. */
export function describeFault(fault: TokenFault): string {
  if (fault.kind === 'refusal') return fault.reason
  if (!hasReturnValue(fault)) return `${fault.function} failed without a return value`
  return `${fault.function} returned ${fault.name} (0x${fault.number.toString(16)})`
}

/** What a fault means for the connection; `keep` where it is none of its business. */
export function fateOf(fault: TokenFault): 'keep' | 'suspect' | 'reconnect' | 'reinitialize' {
  if (fault.kind === 'refusal') return fault.broken ? 'reconnect' : 'keep'
  const { session } = ruleOf(fault.name)
  return session === 'discard' || session === 'operator' ? 'keep' : session
}

/** Whether a token may answer it for being unable as well as for being broken; never true of a mistake of our own code. */
export function isAmbiguous(fault: TokenFault): boolean {
  return fault.kind === 'cryptoki' && hasReturnValue(fault) && ruleOf(fault.name).ambiguous === true
}

/** Whether the library answered; otherwise our own code, or the binding, threw. */
export function hasReturnValue({ number }: CryptokiFault): boolean {
  return number !== 0
}

/** Whether a lane could not get a session, though nothing is wrong with the connection: it waits for one to come free. */
export function lacksSession(fault: TokenFault): boolean {
  if (fault.kind !== 'cryptoki' || fault.function !== 'C_OpenSession') return false
  const fate = fateOf(fault)
  return fate === 'keep' || fate === 'suspect'
}

/** What a log line says of a fault beside its reason: what an operator looks up in the manual of the token. */
export function faultFields(fault: TokenFault): { readonly ckr?: string; readonly function?: string } {
  return fault.kind === 'refusal' ? {} : { ckr: fault.name, function: fault.function }
}

/** What an operator can do about it, as a field of a log line or a status; empty where nothing is known. */
export function hintFields(fault: TokenFault): { readonly hint?: string } {
  const hint = fault.kind === 'refusal' ? fault.hint : ruleOf(fault.name).hint
  return hint === undefined ? {} : { hint }
}

/** Whether trying again is pointless, or dangerous, before a person acted. */
export function needsOperator(fault: TokenFault): boolean {
  return fault.kind === 'refusal' ? fault.operator === true : ruleOf(fault.name).session === 'operator'
}

/**
 * What callers of the provider see of a fault; {@link Pkcs11Error} is its cause.
 *
 * @throws InvariantError where no token answered it: the mistake is our own.
 */
export function faultToKmsError(token: string, fault: TokenFault): KmsError {
  invariant(fault.kind === 'refusal' || hasReturnValue(fault), describeFault(fault))
  return KMS_ERRORS[codeOf(fault)](token, new Pkcs11Error(token, fault))
}

function codeOf(fault: TokenFault): RefusalFault['code'] {
  if (fault.kind === 'refusal') return fault.code
  const { code } = ruleOf(fault.name)
  // Only a function that opens something can find it bad.
  return code === 'CIPHERTEXT_INVALID' && !/^C_(Decrypt|Unwrap)/.test(fault.function)
    ? 'TOKEN_UNAVAILABLE'
    : code
}

/** Retryable: the token is absent, logged out or broken. */
export function tokenUnavailable(token: string, cause?: unknown): KmsError<'TOKEN_UNAVAILABLE'> {
  return new KmsError(
    'TOKEN_UNAVAILABLE',
    'The token that holds the key is not available.',
    { token },
    { cause },
  )
}

/** Retryable: the queue is full or the deadline passed. */
export function tokenTimeout(token: string, cause?: unknown): KmsError<'TOKEN_TIMEOUT'> {
  return new KmsError('TOKEN_TIMEOUT', 'The token did not answer in time.', { token }, { cause })
}

const KMS_ERRORS: Readonly<Record<RefusalFault['code'], (token: string, cause: Pkcs11Error) => KmsError>> = {
  ALREADY_EXISTS: (_, cause) =>
    new KmsError('ALREADY_EXISTS', 'The token already holds an object of that name.', {}, { cause }),
  CIPHERTEXT_INVALID: (_, cause) => ciphertextInvalid(cause),
  TOKEN_UNAVAILABLE: tokenUnavailable,
  UNSUPPORTED: (token, cause) => {
    const cannot = cause.fault.kind === 'refusal' ? cause.fault.cannot : undefined
    const message =
      cannot === undefined ? 'The token cannot do this operation.' : `The token "${token}" ${cannot}.`
    return new KmsError('UNSUPPORTED', message, {}, { cause })
  },
}
