import { isKmsError } from '../../core/errors.ts'
import type { CanaryStore } from '../../core/ports/canary-store.ts'
import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { RepeatedLog } from '../../lib/repeated-log.ts'
import {
  encodeCanary,
  makeCanary,
  opensCanary,
  parseCanary,
  type SealWays,
  sealWays,
  type VersionCanary,
} from './ha-canary.ts'
import type { Pkcs11Provider } from './provider.ts'
import type { Pkcs11Log } from './settings.ts'

/** What a call needs the replica to be proven for; `openInside` is a payload that was wrapped (mode W1 or W2). */
export type Need = 'open' | 'openInside' | 'seal' | 'sealInside'

/** What is known of a version's copy in the replica. `refused`: it is other material, or could be extracted. */
export type CopyState = 'proven' | 'refused' | 'unproven'

export interface Verdict {
  readonly state: CopyState
  /** Connection of the replica that it holds for: another token may answer the next one. */
  readonly generation: number
  /** When it was reached, `performance.now()`, and how long it is not tried to find more. Milliseconds. */
  readonly at: number
  readonly retryAfterMs: number
  /** The tokens disagree, which will hardly mend itself: it is tried again ever more seldom. */
  readonly setback?: true
  readonly canary?: VersionCanary
  /** What may be asked of the replica besides opening. */
  readonly seals: SealWays
}

/** Versions that are remembered; the oldest goes first, and is proven again when it is needed. */
const VERDICTS_MAX = 65_536
/** How long a copy that is not there is not asked for again; after setbacks twice as long each time, up to the bound. */
const RETRY_AFTER_MS = 5_000
const RETRY_AFTER_MS_MAX = 300_000
/** How long one proof may take. It serves many callers, so none of their deadlines ends it. */
const PROOF_TIMEOUT_MS = 5_000
const REPEAT_INTERVAL_MS = 3_600_000
const NOTHING: SealWays = { text: '' }

type Finding = Omit<Verdict, 'generation' | 'at' | 'retryAfterMs'>
const UNPROVEN: Finding = { state: 'unproven', seals: NOTHING }

/**
 * Decides whether the replica may serve a version: only once it has opened, in its present connection, a canary that the
 * primary sealed under that version, and only from objects that cannot be extracted. It may seal in the ways that the
 * primary was seen to open. Canaries are kept in the store, so that a process that starts while the primary is away can
 * prove the replica all the same.
 */
export class ReplicaProofs {
  readonly #primary: Pkcs11Provider
  readonly #replica: Pkcs11Provider
  readonly #store: CanaryStore
  readonly #log: RepeatedLog
  readonly #verdicts = new Map<string, Verdict>()
  readonly #running = new Map<string, Promise<Verdict>>()

  constructor(primary: Pkcs11Provider, replica: Pkcs11Provider, store: CanaryStore, log: Pkcs11Log) {
    this.#primary = primary
    this.#replica = replica
    this.#store = store
    this.#log = new RepeatedLog(log, REPEAT_INTERVAL_MS)
  }

  /** Whether the replica may serve `need` under a version. A proof that cannot be made now is a refusal. */
  async allows(ref: MasterKeyRef, need: Need, options: CallOptions): Promise<boolean> {
    const known = this.#verdicts.get(ref.versionId)
    if (known?.generation === this.#replica.generation && allows(known, need)) return true
    return allows(await this.prove(ref, options), need)
  }

  /** What is known of a version's copy after trying. Never rejects: what went wrong is logged. */
  async prove(ref: MasterKeyRef, options: CallOptions): Promise<Finding> {
    const { versionId } = ref
    const known = this.#verdicts.get(versionId)
    if (known && this.#isFresh(known)) return known
    let proof = this.#running.get(versionId)
    if (!proof) {
      proof = this.#reach(ref).finally(() => this.#running.delete(versionId))
      this.#running.set(versionId, proof)
    }
    return before(options.deadlineAt, proof)
  }

  forget(ref: MasterKeyRef): void {
    this.#verdicts.delete(ref.versionId)
  }

  #isFresh(verdict: Verdict): boolean {
    if (verdict.generation !== this.#replica.generation) return false
    return isWhole(verdict, this.#primary.available) || performance.now() - verdict.at < verdict.retryAfterMs
  }

  async #reach(ref: MasterKeyRef): Promise<Verdict> {
    const generation = this.#replica.generation
    const known = this.#verdicts.get(ref.versionId)
    const last = known?.generation === generation ? known : undefined
    let found: Finding
    try {
      found = await this.#examine(ref, { deadlineAt: Date.now() + PROOF_TIMEOUT_MS })
    } catch (error) {
      const fields = { keyId: ref.keyId, versionId: ref.versionId, err: error }
      this.#log.tell('warn', `proof ${ref.versionId}`, fields, 'could not prove a copy of a key')
      // A token that is busy or away for a moment takes nothing back of what it showed in this connection.
      found = last && isPassing(error) ? last : UNPROVEN
    }
    const retryAfterMs =
      found.setback && last?.setback ? Math.min(2 * last.retryAfterMs, RETRY_AFTER_MS_MAX) : RETRY_AFTER_MS
    const verdict = { ...found, generation, at: performance.now(), retryAfterMs }
    const oldest = this.#verdicts.size >= VERDICTS_MAX ? this.#verdicts.keys().next().value : undefined
    if (oldest !== undefined) this.#verdicts.delete(oldest)
    this.#verdicts.set(ref.versionId, verdict)
    return verdict
  }

  async #examine(ref: MasterKeyRef, options: CallOptions): Promise<Finding> {
    const canary = await this.#canaryOf(ref, options)
    if (!canary || !this.#replica.available) return UNPROVEN
    const presence = await this.#replica.findCopy(ref, options)
    if (presence === 'absent') return UNPROVEN
    if (presence !== 'present')
      return this.#refuse(ref, 'its objects are not whole, or their attributes not those of a master key')
    if (!(await opensCanary(this.#replica, ref, canary, options)))
      return this.#refuse(ref, 'it does not open what the primary sealed')
    const kept = await this.#proveReverse(ref, canary, options)
    if (!kept) return { state: 'proven', canary, seals: this.#provenWays(canary), setback: true }
    return { state: 'proven', canary: kept, seals: this.#provenWays(kept) }
  }

  #refuse(ref: MasterKeyRef, why: string): Finding {
    this.#log.tell(
      'error',
      `refused ${ref.versionId}`,
      {
        keyId: ref.keyId,
        versionId: ref.versionId,
        reason: `The copy of the key in the replica is refused: ${why}.`,
        hint: 'Do not fail over to it: find out how it came there, and copy the key from the primary again.',
      },
      'replica holds other material',
    )
    return { state: 'refused', seals: NOTHING, setback: true }
  }

  /** The primary's word: from memory, else from the store, and made anew where the primary does not open what is kept. */
  async #canaryOf(ref: MasterKeyRef, options: CallOptions): Promise<VersionCanary | undefined> {
    const known = this.#verdicts.get(ref.versionId)?.canary
    if (known) return known
    const kept = parseCanary((await this.#store.getCanary(ref.versionId)) ?? '')
    const { capabilities } = this.#primary.status()
    if (!capabilities) return kept
    if (kept && (await opensCanary(this.#primary, ref, kept, options))) return kept
    if (kept)
      this.#log.tell(
        'error',
        `canary ${ref.versionId}`,
        { keyId: ref.keyId, versionId: ref.versionId },
        'the primary does not open the canary in the store; it is replaced',
      )
    const made = await makeCanary(this.#primary, sealWays(capabilities), ref, options)
    await this.#store.putCanary(ref.versionId, encodeCanary(made))
    return made
  }

  /**
   * The other way round: what the replica seals has to open on the primary. Remembered with the ways it was sealed in.
   *
   * @returns `undefined` where the primary does not open it.
   */
  async #proveReverse(
    ref: MasterKeyRef,
    canary: VersionCanary,
    options: CallOptions,
  ): Promise<VersionCanary | undefined> {
    const ways = this.#replicaWays()
    if (!this.#primary.available || !ways || sameWays(canary.replicaWays, ways)) return canary
    try {
      const sealed = await makeCanary(this.#replica, ways, ref, options)
      if (!(await opensCanary(this.#primary, ref, sealed, options))) {
        this.#log.tell(
          'error',
          `reverse ${ref.versionId}`,
          { keyId: ref.keyId, versionId: ref.versionId },
          'the primary does not open what the replica seals: the replica only opens',
        )
        return undefined
      }
    } catch (error) {
      // The primary went away meanwhile; opening is proven all the same.
      if (isPassing(error)) return canary
      throw error
    }
    const proven = { ...canary, replicaWays: ways }
    await this.#store.putCanary(ref.versionId, encodeCanary(proven))
    return proven
  }

  /** The ways of the replica, as it is now, in which the primary opened what it sealed. */
  #provenWays({ replicaWays }: VersionCanary): SealWays {
    const now = this.#replicaWays()
    if (!now || now.text !== replicaWays?.text) return NOTHING
    const inside = now.inside === replicaWays.inside ? now.inside : undefined
    return { text: now.text, ...(inside !== undefined && { inside }) }
  }

  #replicaWays(): SealWays | undefined {
    const { capabilities } = this.#replica.status()
    return capabilities && sealWays(capabilities)
  }
}

function allows({ state, seals, canary }: Finding, need: Need): boolean {
  return state === 'proven' && NEEDS[need](seals, canary)
}

const NEEDS: Readonly<Record<Need, (seals: SealWays, canary: VersionCanary | undefined) => boolean>> = {
  open: () => true,
  openInside: (_, canary) => canary?.inside !== undefined,
  seal: ({ text }) => text !== '',
  sealInside: ({ inside }) => inside !== undefined,
}

/** Whether trying again would tell nothing more. */
function isWhole({ state, seals }: Verdict, primaryThere: boolean): boolean {
  return state === 'proven' && (seals.text !== '' || !primaryThere)
}

function sameWays(a: SealWays | undefined, b: SealWays): boolean {
  return a?.text === b.text && a.inside === b.inside
}

function isPassing(error: unknown): boolean {
  return isKmsError(error, 'TOKEN_UNAVAILABLE') || isKmsError(error, 'TOKEN_TIMEOUT')
}

/** The outcome of a proof, or that there is none yet when the caller can wait no longer. */
async function before(deadlineAt: number, proof: Promise<Verdict>): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => resolve(UNPROVEN), Math.max(0, deadlineAt - Date.now()))
  })
  try {
    return await Promise.race([proof, tooLate])
  } finally {
    clearTimeout(timer)
  }
}
