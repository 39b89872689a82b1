import { HINT_OF_ALTERED } from './altered.ts'
import { isKmsError } from './errors.ts'
import type { MasterKey } from './key.ts'
import { rotateKey, type SettleDeps, settleRotation } from './ops/rotate-key.ts'
import type { KeyPlace, PageRequest } from './ports/key-store.ts'
import { TokenFailures } from './token-failures.ts'

const PAGE_ROWS = 100
const TOKEN_CALL_TIMEOUT_MS = 10_000

const FAILED = 'could not rotate a key; the next round tries again, and the key seals until its bound'
const SCHEDULED = 'the period that its owner set is over'
const WORN = 'its version has sealed enough'
const HINT_OF_OLD_STORE =
  'The token holds a later version of the key than the store knows of: the store may be an older backup. Restore the newer store.'

export interface KeyRotationLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void
  error(fields: Readonly<Record<string, unknown>>, message: string): void
}

export interface KeyRotationDeps extends SettleDeps {
  readonly log: KeyRotationLog
  /** GCM invocations leased of a primary version from which on its key is rotated. */
  readonly rotateAt: number
}

/** What this process did, counted since its start. */
export interface KeyRotationCounts {
  /** Keys that have a new version. */
  readonly ok: number
  readonly failed: number
}

/**
 * Rotates the keys whose schedule says so and those whose primary versions come near the bound of GCM invocations, and settles
 * rotations that were cut short.
 * Beside the requests, in any number of processes: a revision check lets one of them rotate a key. A rotation that fails
 * is tried again by the next round.
 */
export class KeyRotation {
  readonly #deps: KeyRotationDeps
  readonly #counts = { ok: 0, failed: 0 }

  constructor(deps: KeyRotationDeps) {
    this.#deps = deps
  }

  get counts(): KeyRotationCounts {
    return { ...this.#counts }
  }

  /**
   * One round over the keys that need it.
   *
   * @param signal - Ends the round after the key in hand.
   * @throws {@link KmsError} `STORE_UNAVAILABLE`
   */
  async run(signal?: AbortSignal): Promise<void> {
    const { store, rotateAt, clock } = this.#deps
    const tokens = new TokenFailures()
    const settle = (key: MasterKey) => this.#settle(key)
    await this.#over((page) => store.listKeysInRotation(page), settle, tokens, signal)
    const scheduled = (key: MasterKey) => this.#rotate(key, SCHEDULED)
    const dueBy = clock.now()
    await this.#over((page) => store.listKeysDueForRotation(dueBy, page), scheduled, tokens, signal)
    const worn = (key: MasterKey) => this.#rotate(key, WORN)
    await this.#over((page) => store.listKeysToRotate(rotateAt, page), worn, tokens, signal)
  }

  async #over(
    list: (page: PageRequest<KeyPlace>) => Promise<readonly MasterKey[]>,
    tend: (key: MasterKey) => Promise<void>,
    tokens: TokenFailures,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let after: KeyPlace | undefined
    for (;;) {
      const page = await list({ after, limit: PAGE_ROWS })
      for (const key of page) {
        if (signal?.aborted === true) return
        if (tokens.isAway(key.token)) continue
        tokens.count(key.token, await this.#guard(key, tend))
      }
      const last = page.at(-1)
      if (!last || page.length < PAGE_ROWS) return
      after = { region: last.region, keyId: last.keyId }
    }
  }

  /** @returns Whether the token answered. */
  async #guard(key: MasterKey, tend: (key: MasterKey) => Promise<void>): Promise<boolean> {
    try {
      await tend(key)
      return true
    } catch (error) {
      this.#counts.failed += 1
      const hint = isKmsError(error, 'ALREADY_EXISTS') ? { hint: HINT_OF_OLD_STORE } : {}
      this.#deps.log.error({ ...fieldsOf(key), ...hint, err: error }, FAILED)
      return !isKmsError(error, 'TOKEN_UNAVAILABLE') && !isKmsError(error, 'TOKEN_TIMEOUT')
    }
  }

  async #rotate(key: MasterKey, reason: string): Promise<void> {
    // Only its owner can give such a key new material, and the budget warns of its bound.
    if (key.origin === 'EXTERNAL') return
    const { log, rotateAt } = this.#deps
    const { rotationSchedule } = key
    log.info(
      { ...fieldsOf(key), rotateAt, ...(rotationSchedule && { rotationSchedule }) },
      `a key is due for rotation: ${reason}`,
    )
    const rotated = await rotateKey(this.#deps, key, 'AUTOMATIC', options())
    if (rotated) this.#rotated(rotated, 'rotated a key: new encryptions use a new version')
  }

  async #settle(key: MasterKey): Promise<void> {
    const settled = await settleRotation(this.#deps, key, options())
    if (settled === 'finished') this.#rotated(key, `finished ${workOn(key)} that was cut short`)
    if (settled === 'altered') {
      this.#counts.failed += 1
      const message = `could not finish ${workOn(key)} that was cut short: the objects of its new version are altered`
      this.#deps.log.error({ ...fieldsOf(key), hint: HINT_OF_ALTERED }, message)
    }
    if (settled === 'rolledBack')
      this.#deps.log.info(fieldsOf(key), `rolled back ${workOn(key)} that was cut short`)
  }

  #rotated(key: MasterKey, message: string): void {
    this.#counts.ok += 1
    this.#deps.log.info(fieldsOf(key), message)
  }
}

/** What the version in the making is of, in the words of the log. */
function workOn({ pendingVersion }: MasterKey): string {
  return pendingVersion?.rotation ? 'the rotation of a key' : 'the new version of a key pair'
}

function options(): { readonly deadlineAt: number } {
  return { deadlineAt: Date.now() + TOKEN_CALL_TIMEOUT_MS }
}

function fieldsOf({ keyId, token, primaryVersionId, pendingVersion, versions }: MasterKey) {
  const pending = pendingVersion && { pendingVersionId: pendingVersion.versionId }
  return { keyId, token, versionId: primaryVersionId, versions: versions.length, ...pending }
}
