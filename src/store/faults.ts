import { KmsError } from '../core/errors.ts'

/**
 * Why the store is not available, for the operator. `code` is the database's own (`SQLITE_FULL`) or one of ours
 * (`STORE_FILE_REPLACED`); `hint` says what to do next. Neither holds anything of a row.
 */
export class StoreFault extends Error {
  override readonly name = 'StoreFault'
  readonly code: string
  readonly hint: string

  constructor(code: string, problem: string, hint: string, options?: { readonly cause?: unknown }) {
    super(`${code}: ${problem}. ${hint}`, options)
    this.code = code
    this.hint = hint
  }
}

/** What a driver's error means; `undefined` for an error that is not the driver's, which is a bug of ours. */
export type SqlFault = 'unique' | 'foreign-key' | StoreFault | undefined

/** Reads a driver's error. Each dialect has one. */
export type ClassifyFault = (error: unknown) => SqlFault

/** What the broken constraints of one statement mean to its caller. */
export interface ConstraintMeanings {
  readonly unique?: () => KmsError
  readonly foreignKey?: () => KmsError
}

/** The fault travels in `cause`, for the log and for the operator alone. */
export function storeUnavailable(cause: Error): KmsError<'STORE_UNAVAILABLE'> {
  return new KmsError('STORE_UNAVAILABLE', 'The key store is not available.', {}, { cause })
}

/** Something else than this program wrote rows that it cannot read. */
export function storeAltered(problem: string): KmsError<'STORE_UNAVAILABLE'> {
  const hint = 'Run the p11kms release that wrote this store, or restore a backup.'
  return storeUnavailable(new StoreFault('STORE_ALTERED', problem, hint))
}

/** What the caller of the store is to see of `error`. */
export function translateFault(
  error: unknown,
  classify: ClassifyFault,
  meanings: ConstraintMeanings,
): unknown {
  const fault = classify(error)
  if (fault === 'unique') return meanings.unique?.() ?? error
  if (fault === 'foreign-key') return meanings.foreignKey?.() ?? error
  return fault ? storeUnavailable(fault) : error
}
