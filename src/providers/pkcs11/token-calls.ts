import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import { TokenConnection } from './connection.ts'
import { faultToKmsError, lacksSession, type TokenFault, tokenTimeout, tokenUnavailable } from './errors.ts'
import type { CallOutcome } from './lanes/lane.ts'
import { jsonPart, type Operation, parseJsonPart, REPLY } from './lanes/messages.ts'
import type { LanePool } from './lanes/pool.ts'
import { faultIn, mayHelpToRepeat } from './lanes/reply.ts'
import { handlesOf, MaterialHandleCache, type MaterialHandles, refKey } from './material-handles.ts'
import { MissingKeyGuard } from './missing-key-guard.ts'
import type { MaterialName } from './object-names.ts'
import type { Connected } from './procedures/connect.ts'
import { type FoundMaterial, READ_BACK } from './procedures/find-master-key.ts'
import type { Parts } from './provider-parts.ts'
import type { Pkcs11ProviderEvents, Pkcs11TokenSettings } from './settings.ts'

/** Calls of procedures on one token: what they need of the connection, of handles and of faults, in one place. */
export class TokenCalls {
  readonly connection: TokenConnection
  readonly handles = new MaterialHandleCache(
    (ref, options) => this.#search(ref, options),
    () => tokenTimeout(this.#token),
  )
  readonly missing = new MissingKeyGuard()
  readonly #token: string

  /** @throws Error with a sentence for operators when `settings.select` is not one we take. */
  constructor(settings: Pkcs11TokenSettings, events: Pkcs11ProviderEvents) {
    this.#token = settings.name
    this.connection = new TokenConnection(settings, events, {
      onDown: () => this.handles.clear(),
      witness: () => this.missing.witness,
    })
  }

  /**
   * Runs a procedure on the objects of a version; looks their handles up once more where they went stale.
   *
   * @throws KmsError as `CryptoProvider` says.
   */
  async onKey(
    ref: MasterKeyRef,
    operation: Operation,
    number: number,
    partsFor: (handles: MaterialHandles) => Parts,
    options: CallOptions,
    pool: LanePool = this.connection.lanes.crypto,
  ): Promise<Parts> {
    const handles = await this.#handlesFor(ref, options)
    const outcome = await pool.call(operation, number, partsFor(handles), options)
    const fault = faultIn(outcome)
    if (!fault || !mayHelpToRepeat(fault, pool)) return this.#settle(outcome, fault)
    if (!lacksSession(fault)) this.handles.forget(ref, handles)
    const found = await this.#handlesFor(ref, options)
    const second = await pool.call(operation, number, partsFor(found), options)
    return this.#settle(second, faultIn(second))
  }

  /** Handles are numbers that another connection gives to other objects: they are good for the current one alone. */
  async #handlesFor(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    this.requireToken(ref.token)
    if (this.connection.renewing) await this.ready(options)
    const connected = this.requireUp()
    const handles = this.handles.get(ref) ?? (await this.handles.find(ref, options))
    if (this.requireUp() !== connected) throw tokenUnavailable(this.#token)
    return handles
  }

  /**
   * Waits while the library is initialized anew for no fault. To be asked for only then: a promise more costs every call.
   *
   * @throws KmsError `TOKEN_TIMEOUT` at the caller's deadline.
   */
  async ready({ deadlineAt }: CallOptions): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(tokenTimeout(this.#token)), Math.max(0, deadlineAt - Date.now()))
    try {
      while (this.connection.renewing) await Promise.race([this.connection.renewing, late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs a procedure that needs no handles. Throws as {@link TokenCalls.onKey} does. */
  async run(
    pool: LanePool,
    operation: Operation,
    number: number,
    parts: Parts,
    options: CallOptions,
  ): Promise<Parts> {
    if (this.connection.renewing) await this.ready(options)
    this.requireUp()
    const first = await pool.call(operation, number, parts, options)
    const starved = faultIn(first)
    const again = starved !== undefined && lacksSession(starved) && pool.open
    const outcome = again ? await pool.call(operation, number, parts, options) : first
    return this.#settle(outcome, faultIn(outcome))
  }

  #settle(outcome: CallOutcome, fault: TokenFault | undefined): Parts {
    const token = this.#token
    if (fault) {
      this.connection.report(fault)
      throw faultToKmsError(token, fault)
    }
    if (outcome.kind === 'unavailable') throw tokenUnavailable(token, outcome.cause)
    if (outcome.kind === 'timeout' || outcome.frame.code !== REPLY.ok) throw tokenTimeout(token)
    return outcome.frame.parts
  }

  async #find(ref: MasterKeyRef, options: CallOptions): Promise<FoundMaterial> {
    this.requireUp()
    // Ahead of creations, which are slow: a flood of them would keep every key that is not cached from being used.
    const outcome = await this.connection.lanes.write.call(
      'findMasterKey',
      READ_BACK.none,
      [this.nameOf(ref)],
      options,
      true,
    )
    const [found] = this.#settle(outcome, faultIn(outcome))
    const material = parseJsonPart(found) as FoundMaterial
    if (material.objects.some(({ handles }) => handles.length > 1)) {
      const cause = new Error(
        `The token holds more than one object of ${refKey(ref)}: their CKA_ID is the same.`,
      )
      throw tokenUnavailable(this.#token, cause)
    }
    return material
  }

  async #search(ref: MasterKeyRef, options: CallOptions): Promise<MaterialHandles> {
    const handles = handlesOf(await this.#find(ref, options))
    if (handles) {
      this.missing.found(ref)
      return handles
    }
    const reason = `The token does not hold the objects of ${refKey(ref)}.`
    if (this.missing.mayReconnect(ref)) this.connection.reconnect('missing-key', { reason }, true)
    throw tokenUnavailable(this.#token, new Error(reason))
  }

  /** A version's name, as procedures that search for it take it. */
  nameOf(ref: MasterKeyRef): Buffer {
    this.requireToken(ref.token)
    const { token: _, ...name } = ref
    return jsonPart(name satisfies MaterialName)
  }

  requireToken(token: string): void {
    invariant(token === this.#token, 'a master key belongs to the token of its provider')
  }

  /** The present connection; throws `TOKEN_UNAVAILABLE` where there is none. */
  requireUp(): Connected {
    const { connected } = this.connection
    if (connected) return connected
    throw tokenUnavailable(this.#token, this.connection.unavailableCause())
  }
}
