/** A broken promise of our own code: answered as "internal error", logged with its stack, counted. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** @throws {@link InvariantError} with `message` when `condition` does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
