import type { TokenSelector } from './token-selector.ts'

/** How to reach one token and how much of it to use. */
export interface Pkcs11TokenSettings {
  /** Token name used in `MasterKeyRef.token`. */
  readonly name: string
  /** Absolute path of the PKCS#11 library; its symlinks are resolved before it is loaded. */
  readonly module: string
  /** Which token of the library; an ambiguous choice is refused. */
  readonly select: TokenSelector
  /** Called in the main thread at each connect. The buffer is zeroed after use, its text is never logged. */
  readonly readPin: () => Promise<Buffer>
  /** Workers that serve cryptography, 1 to {@link CRYPTO_LANES_MAX}. One is best on SoftHSM. */
  readonly lanes: { readonly crypto: number }
  /** Calls that may wait before the crypto lanes. */
  readonly queueMax: number
  /** A dispatched procedure that takes longer loses its lane. */
  readonly laneTimeoutMs: number
  /** Lanes that may hang in the library at one time before `onFatal` is called. */
  readonly lostLanesMax: number
  /** Pause between two attempts to reach an absent token. */
  readonly reconnectDelayMs: number
  /**
   * While other tokens of the module work: how long this one is tried without initializing the module anew, which
   * interrupts them, and the pause between two such interruptions.
   */
  readonly moduleRestartIntervalMs: number
  /** Initialization string that some libraries want (NSS). */
  readonly libraryParameters?: string
}

/** Upper bound of `lanes.crypto`: the sessions that the larger network HSMs give one client. */
export const CRYPTO_LANES_MAX = 64

/** The part of a logger that the provider uses (pino's shape). */
export interface Pkcs11Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Pkcs11ProviderEvents {
  readonly log: Pkcs11Log
  /** More lanes hang in the library than `lostLanesMax`, or lanes end again and again: only a new process helps. */
  onFatal(error: Error): void
}

/** What the token says of itself, blanks trimmed. */
export interface TokenDescription {
  readonly label: string
  readonly serial: string
  readonly manufacturer: string
  readonly model: string
  /** `major.minor`. */
  readonly firmware: string
}

/** What a token proved able to do when it was connected. */
export interface TokenCapabilities {
  /** How data keys are sealed without leaving the token; absent where it can do neither. */
  readonly insideSealMode?: 'W1' | 'W2'
  /** CKM number that wraps as RFC 5649 does. */
  readonly wrapMechanism?: number
}

export interface Pkcs11Status {
  readonly state: 'up' | 'connecting' | 'down'
  /** Why it is not up: one sentence for operators. */
  readonly reason?: string
  /** What the operator can do about it. */
  readonly hint?: string
  readonly tokenInfo?: TokenDescription
  readonly insideSealMode?: 'W1' | 'W2'
  /** Counts successful connects; cached handles belong to one of them. */
  readonly generation: number
  /** Calls waiting or running, over all lanes. */
  readonly queueDepth: number
  /** Lanes lost since the start. */
  readonly lanesLost: number
  /**
   * Lost lanes whose native thread has not ended yet, most likely because it hangs in the library. Node waits for such a
   * thread, so a process that has one cannot exit by itself.
   */
  readonly lanesHung: number
}
