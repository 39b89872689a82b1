import { isSymmetric, pairOfSpec } from '../../core/key-spec.ts'
import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { RepeatedLog } from '../../lib/repeated-log.ts'
import {
  type CopyProof,
  type Finding,
  isPassing,
  type Need,
  NO_WAYS,
  type ProofParts,
  type ProofStore,
  type Refusal,
  UNPROVEN,
} from './ha-proof.ts'
import { SealProof } from './ha-seal-proof.ts'
import { MacProof, PairProof } from './ha-use-proof.ts'
import { refKey } from './material-handles.ts'
import type { Pkcs11Provider } from './provider.ts'
import type { Pkcs11Log } from './settings.ts'

interface Verdict extends Finding {
  /** Connection of the replica that it holds for: another token may answer the next one. */
  readonly generation: number
  /** When it was reached, `performance.now()`, and how long it is not tried to find more. Milliseconds. */
  readonly at: number
  readonly retryAfterMs: number
}

/** Versions that are remembered; the oldest goes first, and is proven again when it is needed. */
const VERDICTS_MAX = 65_536
/** How long a copy that is not there is not asked for again; after setbacks twice as long each time, up to the bound. */
const RETRY_AFTER_MS = 5_000
const RETRY_AFTER_MS_MAX = 300_000
/** How long one proof may take. It serves many callers, so none of their deadlines ends it. */
const PROOF_TIMEOUT_MS = 5_000
const REPEAT_INTERVAL_MS = 3_600_000

/**
 * Decides whether the replica may serve a version: only once it has shown, in its present connection, that its copy does what the
 * primary's original does, and only with objects that cannot be extracted; how is a {@link CopyProof} for each kind of key. The
 * measure is kept in the store, so that a process that starts while the primary is away can prove the replica all the same.
 */
export class ReplicaProofs {
  readonly #parts: ProofParts
  readonly #seal: SealProof
  readonly #pair: PairProof
  readonly #mac: MacProof
  readonly #verdicts = new Map<string, Verdict>()
  readonly #running = new Map<string, Promise<Verdict>>()

  constructor(primary: Pkcs11Provider, replica: Pkcs11Provider, store: ProofStore, log: Pkcs11Log) {
    this.#parts = { primary, replica, store, log: new RepeatedLog(log, REPEAT_INTERVAL_MS) }
    this.#seal = new SealProof(this.#parts)
    this.#pair = new PairProof(this.#parts)
    this.#mac = new MacProof(this.#parts)
  }

  /** Whether the replica may serve `need` under a version. A proof that cannot be made now is a refusal. */
  async allows(ref: MasterKeyRef, need: Need, options: CallOptions): Promise<boolean> {
    const known = this.#verdicts.get(refKey(ref))
    if (known?.generation === this.#parts.replica.generation && allows(known, need)) return true
    return allows(await this.prove(ref, options), need)
  }

  /** What is known of a version's copy after trying. Never rejects: what went wrong is logged. */
  async prove(ref: MasterKeyRef, options: CallOptions): Promise<Finding> {
    const name = refKey(ref)
    const known = this.#verdicts.get(name)
    if (known && this.#isFresh(known)) return known
    let proof = this.#running.get(name)
    if (!proof) {
      proof = this.#reach(ref).finally(() => this.#running.delete(name))
      this.#running.set(name, proof)
    }
    return before(options.deadlineAt, proof)
  }

  forget(ref: MasterKeyRef): void {
    this.#verdicts.delete(refKey(ref))
  }

  #isFresh(verdict: Verdict): boolean {
    if (verdict.generation !== this.#parts.replica.generation) return false
    return (
      isWhole(verdict, this.#parts.primary.available) || performance.now() - verdict.at < verdict.retryAfterMs
    )
  }

  async #reach(ref: MasterKeyRef): Promise<Verdict> {
    const generation = this.#parts.replica.generation
    const known = this.#verdicts.get(refKey(ref))
    const last = known?.generation === generation ? known : undefined
    let found: Finding
    try {
      found = await this.#examine(ref, { deadlineAt: Date.now() + PROOF_TIMEOUT_MS })
    } catch (error) {
      const fields = { keyId: ref.keyId, versionId: ref.versionId, err: error }
      this.#parts.log.tell('warn', `proof ${ref.versionId}`, fields, 'could not prove a copy of a key')
      // A token that is busy or away for a moment takes nothing back of what it showed in this connection.
      found = last && isPassing(error) ? last : UNPROVEN
    }
    const retryAfterMs =
      found.setback && last?.setback ? Math.min(2 * last.retryAfterMs, RETRY_AFTER_MS_MAX) : RETRY_AFTER_MS
    const verdict = { ...found, generation, at: performance.now(), retryAfterMs }
    const oldest = this.#verdicts.size >= VERDICTS_MAX ? this.#verdicts.keys().next().value : undefined
    if (oldest !== undefined) this.#verdicts.delete(oldest)
    this.#verdicts.set(refKey(ref), verdict)
    return verdict
  }

  #examine(ref: MasterKeyRef, options: CallOptions): Promise<Finding> {
    const { spec = 'SYMMETRIC_DEFAULT' } = ref
    if (isSymmetric(spec)) return this.#examineBy(this.#seal, ref, options)
    return pairOfSpec(spec)
      ? this.#examineBy(this.#pair, ref, options)
      : this.#examineBy(this.#mac, ref, options)
  }

  async #examineBy<Word>(proof: CopyProof<Word>, ref: MasterKeyRef, options: CallOptions): Promise<Finding> {
    const word = await proof.wordOf(ref, this.#verdicts.get(refKey(ref)), options)
    const { replica } = this.#parts
    if (word === undefined || !replica.available) return UNPROVEN
    const presence = await replica.findCopy(ref, options)
    if (presence === 'absent') return UNPROVEN
    if (presence !== 'present') return this.#refuse(ref, NOT_WHOLE)
    const found = await proof.compare(ref, word, options)
    return 'why' in found ? this.#refuse(ref, found) : found
  }

  #refuse({ keyId, versionId }: MasterKeyRef, { why, cause }: Refusal): Finding {
    const fields = {
      keyId,
      versionId,
      reason: `The copy of the key in the replica is refused: ${why}.`,
      hint: 'Do not fail over to it: find out how it came there, and copy the key from the primary again.',
      ...(cause !== undefined && { err: cause }),
    }
    this.#parts.log.tell('error', `refused ${versionId}`, fields, 'replica holds other material')
    return { state: 'refused', seals: NO_WAYS, setback: true }
  }
}

const NOT_WHOLE: Refusal = {
  why: 'its objects are not whole, or their attributes not those of a master key',
}

function allows(found: Finding, need: Need): boolean {
  return found.state === 'proven' && NEEDS[need](found)
}

const NEEDS: Readonly<Record<Need, (found: Finding) => boolean>> = {
  open: ({ canary }) => canary !== undefined,
  openInside: ({ canary }) => canary?.inside !== undefined,
  seal: ({ seals }) => seals.text !== '',
  sealInside: ({ seals }) => seals.inside !== undefined,
  use: ({ uses }) => uses === true,
}

/** Whether trying again would tell nothing more. */
function isWhole({ state, seals, uses }: Verdict, primaryThere: boolean): boolean {
  return state === 'proven' && (uses === true || seals.text !== '' || !primaryThere)
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
