/** Stable names of what can be wrong with a store before it serves. */
export type StoreProblemCode =
  | 'PATH_NOT_ACCESSIBLE'
  | 'DIRECTORY_MISSING'
  | 'DIRECTORY_NOT_WRITABLE'
  | 'FILE_NOT_REGULAR'
  | 'FILE_NOT_ACCESSIBLE'
  | 'FILE_WRITABLE_BY_OTHERS'
  | 'FILE_NOT_DATABASE'
  | 'FILE_DAMAGED'
  | 'DATABASE_FOREIGN'
  | 'DATABASE_FAILED'
  | 'DURABILITY_UNAVAILABLE'
  | 'MIGRATION_CHANGED'
  | 'SCHEMA_NEWER'
  | 'SCHEMA_OLDER'
  | 'STORE_IN_USE'

export interface StoreProblem {
  readonly code: StoreProblemCode
  /** One sentence that names the file. */
  readonly problem: string
  /** What the operator can do. */
  readonly hint: string
}

/** The store cannot be opened. Raised before anything is served; lists every problem that was found. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
  readonly problems: readonly StoreProblem[]

  constructor(problems: readonly StoreProblem[], options?: { readonly cause?: unknown }) {
    super(problems.map(({ problem, hint }) => `${problem} ${hint}`).join('\n'), options)
    this.problems = problems
  }
}
