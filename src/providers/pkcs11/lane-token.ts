import type pkcs11js from 'pkcs11js'
import { invariant } from '../../lib/invariant.ts'
import { ruleOf, type TokenFault, TokenRefusal, toFault } from './errors.ts'
import type { LaneNotes } from './lanes/messages.ts'
import type { Sealed } from './mechanisms.ts'
import { type Handle, initialize, loadModule, openSession } from './module.ts'
import type { TokenCapabilities } from './settings.ts'

/** Canaries that one lane remembers: one per master key version in use. */
const CANARIES_MAX = 65_536

/** Session objects that are told of together: a note on every reply would cost more than it tells. */
const SESSION_OBJECTS_TOLD_MIN = 256

/** How a lane reaches the token that the control lane connected. */
export interface Attachment {
  readonly module: string
  readonly libraryParameters?: string
  /** CK_SLOT_ID in hex, as the control lane found it. */
  readonly slotHex: string
  /** A read-write session is needed to make and destroy token objects. */
  readonly write: boolean
  /** What the control lane found the token able to do; absent while it is still finding out. */
  readonly capabilities?: TokenCapabilities
}

/** The session that keeps the login, on the control lane alone. */
export interface Anchor {
  readonly session: Handle
  /** Session key of role `enc` that health is checked with; it ends with the session. */
  key: Handle | undefined
}

interface Attached {
  readonly p11: pkcs11js.PKCS11
  readonly slot: Handle
  readonly write: boolean
  session: Handle | undefined
  capabilities: TokenCapabilities | undefined
}

/**
 * One lane's view of the token: its library, and one session for operations. A procedure runs on that session alone,
 * and a session on which something went wrong is closed rather than used again: after an error between an Init and its
 * end a session answers CKR_OPERATION_ACTIVE for ever.
 */
export class LaneToken {
  /** One sealed known text per CKA handle (hex), to tell a wrong tag from a broken device. */
  readonly canaries = new Map<string, Sealed>()
  /** What was learned of key pairs on this connection, by `procedures/seal-key-pair.ts`: why not, or nothing. */
  readonly pairFacts = new Map<string, TokenFault | undefined>()
  /** By algorithm, how this token decrypts with RSA, by `rsa-decryption.ts`. */
  readonly rsaWays = new Map<string, string>()
  /** Open as long as the connection, unless the token drops it. */
  anchor: Anchor | undefined
  #attached: Attached | undefined
  #operationOpen = false
  #sessionsDiscarded = 0
  #misuses = 0
  #sessionObjects = 0
  readonly #load: (module: string) => pkcs11js.PKCS11

  /** @param load - Loads a library by its path. */
  constructor(load = loadModule) {
    this.#load = load
  }

  attach(attachment: Attachment): void {
    this.detach()
    const p11 = this.#load(attachment.module)
    initialize(p11, attachment.libraryParameters)
    const slot = Buffer.from(attachment.slotHex, 'hex')
    const { write, capabilities } = attachment
    this.#attached = { p11, slot, write, session: openSession(p11, slot, write), capabilities }
  }

  /** Takes note of what was found out about the token since it was attached. */
  learn(capabilities: TokenCapabilities): void {
    this.#require().capabilities = capabilities
  }

  /** What the token can do. */
  get capabilities(): TokenCapabilities {
    const { capabilities } = this.#require()
    invariant(capabilities, 'a lane is attached with the capabilities of its token')
    return capabilities
  }

  /** Closes the session and forgets what belonged to this connection. Never fails: the token may be gone. */
  detach(): void {
    this.#closeSession()
    this.canaries.clear()
    this.pairFacts.clear()
    this.rsaWays.clear()
    if (this.anchor) this.#close(this.anchor.session)
    this.anchor = undefined
    this.#attached = undefined
  }

  get p11(): pkcs11js.PKCS11 {
    return this.#require().p11
  }

  get slot(): Handle {
    return this.#require().slot
  }

  /** The slot, or `undefined` while detached. */
  get attachedSlot(): Handle | undefined {
    return this.#attached?.slot
  }

  /** The session of this lane, opened anew after it was discarded. */
  get session(): Handle {
    const attached = this.#require()
    attached.session ??= openSession(attached.p11, attached.slot, attached.write)
    return attached.session
  }

  /** Says that an operation began on the session, so that a failure before `endOperation` gives the session up. */
  beginOperation(): void {
    this.#operationOpen = true
  }

  endOperation(): void {
    this.#operationOpen = false
  }

  discardSession(): void {
    if (this.#attached?.session) this.#sessionsDiscarded += 1
    this.#closeSession()
  }

  /** So many session objects were made, whatever became of them. */
  countSessionObjects(count: number): void {
    this.#sessionObjects += count
  }

  /** What happened since it was last asked. */
  takeNotes(): LaneNotes {
    const sessionObjects = this.#sessionObjects < SESSION_OBJECTS_TOLD_MIN ? 0 : this.#sessionObjects
    const notes = { sessionsDiscarded: this.#sessionsDiscarded, misuses: this.#misuses, sessionObjects }
    this.#sessionsDiscarded = 0
    this.#misuses = 0
    this.#sessionObjects -= sessionObjects
    return notes
  }

  #closeSession(): void {
    this.#operationOpen = false
    const attached = this.#attached
    if (!attached?.session) return
    const { session } = attached
    attached.session = undefined
    this.#close(session)
  }

  #close(session: Handle): void {
    try {
      this.#attached?.p11.C_CloseSession(session)
    } catch {
      // It is gone already, which is what was wanted.
    }
  }

  rememberCanary(key: Handle, canary: Sealed): void {
    if (this.canaries.size >= CANARIES_MAX) this.canaries.clear()
    this.canaries.set(key.toString('hex'), canary)
  }

  /**
   * Runs a procedure; afterwards the session is clean or gone.
   *
   * @param repeatable - Tried once more on a new session where the return value says that the session was at fault.
   */
  run<T>(procedure: () => T, repeatable: boolean): T {
    try {
      return procedure()
    } catch (error) {
      const again = this.#settle(error) && repeatable
      if (!again) throw error
    }
    try {
      return procedure()
    } catch (error) {
      this.#settle(error)
      throw error
    }
  }

  /** Gives the session up where needed. @returns Whether a new session may cure the error. */
  #settle(error: unknown): boolean {
    const fault = toFault(error)
    const rule = fault.kind === 'cryptoki' ? ruleOf(fault.name) : undefined
    if (rule?.misuse) this.#misuses += 1
    if (this.#operationOpen || (rule && rule.session !== 'keep')) this.discardSession()
    return rule?.retry === 'session'
  }

  #require(): Attached {
    if (this.#attached) return this.#attached
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: 'The lane is not attached to the token.' })
  }
}
