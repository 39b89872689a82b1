import { KmsError } from './errors.ts'

/**
 * Specs of AWS KMS that no token is asked for, for keys and for data key pairs: what keys of them may be made for, the mechanism that would
 * make them, and why it is not used (docs/adr/0015-keys-that-few-tokens-know.md).
 */

interface UndrivenSpec {
  readonly usages: readonly string[]
  readonly mechanism: string
  /** The end of a sentence that callers read. */
  readonly why: string
}

const SM2 = {
  usages: ['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'KEY_AGREEMENT'],
  mechanism: 'CKM_SM2_KEY_PAIR_GEN',
  why: 'PKCS#11 has no mechanisms for SM2, and those that vendors define for themselves differ',
} as const satisfies UndrivenSpec

const ML_KEM = {
  usages: ['ENCAPSULATE_DECAPSULATE'],
  mechanism: 'CKM_ML_KEM_KEY_PAIR_GEN',
  why: 'they are used by C_EncapsulateKey and C_DecapsulateKey of PKCS#11 v3.2, which the binding to tokens does not call',
} as const satisfies UndrivenSpec

export const UNDRIVEN_KEY_SPECS = {
  SM2,
  ML_KEM_512: ML_KEM,
  ML_KEM_768: ML_KEM,
  ML_KEM_1024: ML_KEM,
} as const satisfies Readonly<Record<string, UndrivenSpec>>
export type UndrivenKeySpec = keyof typeof UNDRIVEN_KEY_SPECS

export function isUndriven(spec: string): spec is UndrivenKeySpec {
  return Object.hasOwn(UNDRIVEN_KEY_SPECS, spec)
}

/** The refusal of a key, or of a data key pair, in a token of that name. */
export function undrivenSpec(token: string, spec: UndrivenKeySpec): KmsError<'UNSUPPORTED'> {
  const { mechanism, why } = UNDRIVEN_KEY_SPECS[spec]
  const message = `The token "${token}" is not asked for keys of spec ${spec} (${mechanism}): ${why}.`
  return new KmsError('UNSUPPORTED', message, {})
}

/** The functions of PKCS#11 v3.2 that would carry these operations out. */
const ENCAPSULATION_FUNCTIONS = { Encapsulate: 'C_EncapsulateKey', Decapsulate: 'C_DecapsulateKey' } as const
export type EncapsulationOperation = keyof typeof ENCAPSULATION_FUNCTIONS

/** The refusal of an operation with a key of a token of that name. */
export function undrivenEncapsulation(
  token: string,
  operation: EncapsulationOperation,
): KmsError<'UNSUPPORTED'> {
  const name = ENCAPSULATION_FUNCTIONS[operation]
  const message = `${operation} is not carried out by the token "${token}": it takes ${name} with CKM_ML_KEM of PKCS#11 v3.2, which the binding to tokens does not call.`
  return new KmsError('UNSUPPORTED', message, {})
}
