/** Bounds on what anybody who reaches the port may use up. */
export interface ServerLimits {
  /** Longest request body. Bytes. */
  readonly bodyBytesMax: number
  /** Longest request line and headers together. Bytes. */
  readonly headerBytesMax: number
  /** Time to send the headers of a request. Milliseconds. */
  readonly headersTimeoutMs: number
  /** Time to send a whole request. Milliseconds. */
  readonly requestTimeoutMs: number
  /**
   * How long an answer may wait for a client that does not read, after the longest time that a request may take; a
   * connection on which nothing moved for both together is closed. Milliseconds.
   */
  readonly answerTimeoutMs: number
  /** How long an idle connection is kept. Milliseconds; longer than a load balancer's, or it meets closed connections. */
  readonly keepAliveTimeoutMs: number
  /** Connections at a time; further ones are closed at once. */
  readonly connectionsMax: number
}

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  bodyBytesMax: 65_536,
  headerBytesMax: 16_384,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  answerTimeoutMs: 20_000,
  keepAliveTimeoutMs: 75_000,
  connectionsMax: 4_096,
}
