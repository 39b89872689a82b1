/** Numbers of GCM invocations that one process may use up: `first`, `first + 1`, … */
export interface InvocationBlock {
  /** How many were handed out before: those of this block are `first` to `first + count - 1`, and nobody else's. */
  readonly first: number
  /** 0 when none is left. */
  readonly count: number
}

/**
 * How many AES-GCM invocations of each key version were handed out to processes, kept with the keys (STO-25 to STO-28). The
 * number only grows: what a process was given and did not use is lost, which errs on the safe side of the bound.
 *
 * Every method may throw {@link KmsError} `STORE_UNAVAILABLE`; a block of which the caller never learns is lost too.
 *
 * @see NIST SP 800-38D, "Constraints on the Number of Invocations"
 */
export interface InvocationLedger {
  /**
   * Hands out the next invocations of a version. The block is the caller's when the promise resolves: it is durable then, and
   * no other call of any process ever gets one of its numbers.
   *
   * @param count - How many are wanted, 1 or more; fewer are given where `max` leaves fewer.
   * @param max - No number at or past it is handed out.
   * @throws {@link InvariantError} when `count` or `max` is not a whole number of 1 or more, or no key has the version.
   */
  leaseInvocations(versionId: string, count: number, max: number): Promise<InvocationBlock>

  /** The most that was handed out of any one primary version of an enabled key; 0 when none was ever sealed with. */
  mostLeased(): Promise<number>
}
