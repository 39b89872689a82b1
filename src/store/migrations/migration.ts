/** Words of SQL that differ between dialects. */
export interface SqlTypes {
  /** Text that is compared and sorted by its UTF-8 bytes. */
  readonly bytewiseText: string
}

/**
 * One step of the schema. Plain SQL rather than a builder's calls, so that its checksum changes when its meaning may
 * have and never with a new release of the builder. A migration that was released is never edited: what is wrong with
 * it is put right by the next.
 */
export interface Migration {
  /** 1 for the first, then one more each. */
  readonly number: number
  readonly name: string
  /** Portable statements, run in order in one transaction. */
  readonly statements: (types: SqlTypes) => readonly string[]
}
