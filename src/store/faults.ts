import { KmsError } from '../core/errors.ts'

/** What a driver's error means; `undefined` for an error that is not the driver's, which is a bug of ours. */
export type SqlFault = 'unique' | 'foreign-key' | 'unavailable' | undefined

/** Reads a driver's error. Each dialect has one. */
export type ClassifyFault = (error: unknown) => SqlFault

/** What the broken constraints of one statement mean to its caller. */
export interface ConstraintMeanings {
  readonly unique?: () => KmsError
  readonly foreignKey?: () => KmsError
}

/** The SQL state travels in `cause`, for the log alone. */
export function storeUnavailable(cause: unknown): KmsError<'STORE_UNAVAILABLE'> {
  return new KmsError('STORE_UNAVAILABLE', 'The key store is not available.', {}, { cause })
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
  return fault === 'unavailable' ? storeUnavailable(error) : error
}
