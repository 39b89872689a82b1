import type { CallOptions, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import {
  encodeCanary,
  makeCanary,
  opensCanary,
  parseCanary,
  type SealWays,
  sealWays,
  type VersionCanary,
} from './ha-canary.ts'
import {
  type CopyProof,
  type Finding,
  isPassing,
  NO_WAYS,
  type ProofParts,
  type Refusal,
  tellReplaced,
} from './ha-proof.ts'

/**
 * Proves symmetric keys: the replica opens a canary that the primary sealed under the version, and it may seal in the ways that
 * the primary was seen to open.
 */
export class SealProof implements CopyProof<VersionCanary> {
  readonly #parts: ProofParts

  constructor(parts: ProofParts) {
    this.#parts = parts
  }

  /** From memory, else from the store, and made anew where the primary does not open what is kept. */
  async wordOf(
    ref: MasterKeyRef,
    known: Finding | undefined,
    options: CallOptions,
  ): Promise<VersionCanary | undefined> {
    if (known?.canary) return known.canary
    const { primary, store } = this.#parts
    const kept = parseCanary((await store.getCanary(ref.versionId)) ?? '')
    const { capabilities } = primary.status()
    if (!capabilities) return kept
    if (kept && (await opensCanary(primary, ref, kept, options))) return kept
    if (kept)
      tellReplaced(this.#parts, ref, 'the primary does not open the canary in the store; it is replaced')
    const made = await makeCanary(primary, sealWays(capabilities), ref, options)
    await store.putCanary(ref.versionId, encodeCanary(made))
    return made
  }

  async compare(ref: MasterKeyRef, canary: VersionCanary, options: CallOptions): Promise<Finding | Refusal> {
    if (!(await opensCanary(this.#parts.replica, ref, canary, options)))
      return { why: 'it does not open what the primary sealed' }
    const kept = await this.#proveReverse(ref, canary, options)
    if (!kept) return { state: 'proven', canary, seals: this.#provenWays(canary), setback: true }
    return { state: 'proven', canary: kept, seals: this.#provenWays(kept) }
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
    const { primary, replica, store, log } = this.#parts
    const ways = this.#replicaWays()
    if (!primary.available || !ways || sameWays(canary.replicaWays, ways)) return canary
    try {
      const sealed = await makeCanary(replica, ways, ref, options)
      if (!(await opensCanary(primary, ref, sealed, options))) {
        log.tell(
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
    await store.putCanary(ref.versionId, encodeCanary(proven))
    return proven
  }

  /** The ways of the replica, as it is now, in which the primary opened what it sealed. */
  #provenWays({ replicaWays }: VersionCanary): SealWays {
    const now = this.#replicaWays()
    if (!now || now.text !== replicaWays?.text) return NO_WAYS
    const inside = now.inside === replicaWays.inside ? now.inside : undefined
    return { text: now.text, ...(inside !== undefined && { inside }) }
  }

  #replicaWays(): SealWays | undefined {
    const { capabilities } = this.#parts.replica.status()
    return capabilities && sealWays(capabilities)
  }
}

function sameWays(a: SealWays | undefined, b: SealWays): boolean {
  return a?.text === b.text && a.inside === b.inside
}
