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
  /**
   * Where other processes use the token too: waits for this one's turn to give it `pin`. False when the token refused that
   * PIN to another of them.
   */
  readonly mayTryPin?: (pin: Buffer) => Promise<boolean>
  /** Workers that serve cryptography, 1 to {@link CRYPTO_LANES_MAX}. One is best on SoftHSM. */
  readonly lanes: { readonly crypto: number }
  /** Calls that may wait before the crypto lanes. */
  readonly queueMax: number
  /** A dispatched procedure that takes longer loses its lane. */
  readonly laneTimeoutMs: number
  /** How long one key pair may take; longer, and the lane that makes it is lost. */
  readonly pairTimeoutMs: number
  /** Lanes that may hang in the library at one time before `onFatal` is called. */
  readonly lostLanesMax: number
  /** Longest pause between two attempts to reach an absent token; the first ones follow one another faster. */
  readonly reconnectDelayMs: number
  /**
   * While other tokens of the module work: how long this one is tried without initializing the module anew, which
   * interrupts them, and the pause between two such interruptions, which doubles up to 16 times that.
   */
  readonly moduleRestartIntervalMs: number
  /** Session objects after which the library is initialized anew; as vendor-quirks.ts has it where it is absent. */
  readonly sessionObjectsMax?: number
  /** Initialization string that some libraries want (NSS). */
  readonly libraryParameters?: string
  /** CKU number to log in as; CKU_USER when absent. */
  readonly userType?: number
  /** Where the token cannot make a data key or a private key inside, make it in the memory of the lane and zero it (mode W0). */
  readonly allowHostMemory?: boolean
}

/** Upper bound of `lanes.crypto`: the sessions that the larger network HSMs give one client. */
export const CRYPTO_LANES_MAX = 64

/** The part of a logger that the provider uses (pino's shape). */
export interface Pkcs11Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** How an attempt to connect ended: connected, to be tried again, or not before an operator did something. */
export type AttemptEnd = 'up' | 'again' | 'operator'

export interface Pkcs11ProviderEvents {
  readonly log: Pkcs11Log
  /** More lanes hang in the library than `lostLanesMax`, or lanes end again and again: only a new process helps. */
  onFatal(error: Error): void
  /** An attempt to connect, for which `mayTryPin` was asked or might have been, came to its end. */
  onAttemptEnded?(ended: AttemptEnd): void
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

/**
 * Who chooses the IV of an AES-GCM seal. `caller`: 12 bytes given in are used. `writtenBack`: the token writes its own
 * over a zeroed buffer of 12 bytes. `appended`: none is given in, and the token's own 16 bytes follow the tag.
 */
export type GcmIvSource = 'caller' | 'writtenBack' | 'appended'

/**
 * What a key wrap mechanism makes of a key, told by its output rather than by its number: `rfc5649`; PKCS#7 padding to 8
 * or to 16 bytes, then RFC 3394; an IV of 16 bytes and AES-CBC with PKCS#7 padding.
 */
export type KeyWrapFormat = 'rfc5649' | 'pkcs7-8' | 'pkcs7-16' | 'cbc-pad'

/**
 * Which template C_UnwrapKey takes for a secret that is read out next: one that says SENSITIVE false and EXTRACTABLE true,
 * or one that says neither; each with CKA_VALUE_LEN where the token wants it.
 */
export type ReadOut = 'explicit' | 'bare' | 'explicitWithLength' | 'bareWithLength'

/** A key wrap mechanism whose round trip worked. */
export interface KeyWrap {
  /** CKM number. */
  readonly mechanism: number
  readonly format: KeyWrapFormat
  readonly readOut: ReadOut
}

/** What a token proved able to do when it was connected: plain data, found by trying. */
export interface TokenCapabilities {
  readonly gcm: {
    readonly ivSource: GcmIvSource
    /** What an opening with a wrong tag answers: a name of CKR_NAMES, or a number in hex. */
    readonly wrongTagCkr: string
    /** Every answer to a wrong tag or wrong additional data, of C_Decrypt and C_UnwrapKey. */
    readonly refusalCkrs: readonly string[]
  }
  /** C_WrapKey and C_UnwrapKey with CKM_AES_GCM work, and refuse wrong additional data. */
  readonly gcmWrap: boolean
  /** Template for reading out what was unwrapped with CKM_AES_GCM. */
  readonly gcmReadOut: ReadOut
  /** What data keys are wrapped with in mode W2; absent where no key wrap works. */
  readonly keyWrap?: KeyWrap
  /** Every key wrap that works, one per format, {@link TokenCapabilities.keyWrap} first. */
  readonly keyWraps: readonly KeyWrap[]
  /** How data keys are sealed without leaving the token; absent where it can do neither. */
  readonly insideSealMode?: 'W1' | 'W2'
  /** Lengths of data keys that `insideSealMode` carried there and back. */
  readonly insideBytes: { readonly min: number; readonly max: number }
  /** Whether a key that may be wrapped can be SENSITIVE; otherwise such keys are readable for the length of one call. */
  readonly dataKeysSensitive: boolean
  /** Whether keys bound to their mechanisms by CKA_ALLOWED_MECHANISMS can be made and work. */
  readonly allowedMechanisms: boolean
  /** Names of attributes that a master key need not read back as asked, by `vendor-quirks.ts`. */
  readonly waived: readonly string[]
  /** What was tried and did not work, with what the token answered. */
  readonly refused: Readonly<Record<string, string>>
}

export interface Pkcs11Status {
  /** `down`: nothing is tried before an operator acts. */
  readonly state: 'up' | 'connecting' | 'down'
  /** `closed`: calls are taken. `open`: they are answered at once. `half-open`: so they are, while one attempt is made. */
  readonly breaker: 'closed' | 'half-open' | 'open'
  /** Why it is not up: one sentence for operators. */
  readonly reason?: string
  /** What the operator can do about it. */
  readonly hint?: string
  readonly tokenInfo?: TokenDescription
  /** What the connected token can do. */
  readonly capabilities?: TokenCapabilities
  /** How data keys without plaintext are sealed: inside the token, or in host memory where the operator allows it. */
  readonly insideSealMode?: 'W1' | 'W2' | 'hostMemory'
  /** Counts successful connects; cached handles belong to one of them. */
  readonly generation: number
  /** Calls waiting or running, over all lanes. */
  readonly queueDepth: number
  /** Crypto lanes that have a session, of `lanes.crypto`. */
  readonly lanesServing: number
  /** Lanes lost since the start. */
  readonly lanesLost: number
  /**
   * Lost lanes whose native thread has not ended yet, most likely because it hangs in the library. Node waits for such a
   * thread, so a process that has one cannot exit by itself.
   */
  readonly lanesHung: number
  /** Successful and refused C_Login since the start. */
  readonly logins: number
  readonly loginsRefused: number
  /** Connections given up since the start, by the return value that told, or a word. */
  readonly reconnects: Readonly<Record<string, number>>
  /** Sessions given up because of an error, since the start. */
  readonly sessionsDiscarded: number
  /** Return values since the start that only a mistake of ours, or of the library, brings about. */
  readonly sessionMisuses: number
}
