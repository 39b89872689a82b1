import type { LaneToken } from '../lane-token.ts'

/**
 * What a lane can do for one request: a whole piece of work on its session, never a single C_ call, so that operations
 * of two requests cannot interleave.
 *
 * @param number - One unsigned 32-bit argument, by procedure.
 * @param parts - Byte arguments, by procedure; views of the request's message, zeroed after it was served.
 * @returns Byte results, by procedure. They are zeroed once they were posted.
 * @throws What pkcs11js throws, or a `TokenRefusal`.
 */
export type Procedure = (token: LaneToken, number: number, parts: readonly Buffer[]) => readonly Buffer[]

export interface ProcedureRow {
  readonly run: Procedure
  /** It changes nothing in the token, so it may be tried again on a new session. */
  readonly repeatable: boolean
}

/** The argument at `index`; empty where the caller sent none. */
export function part(parts: readonly Buffer[], index: number): Buffer {
  return parts[index] ?? EMPTY
}

const EMPTY = Buffer.alloc(0)
