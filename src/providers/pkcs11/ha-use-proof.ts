import { hash, randomBytes } from 'node:crypto'
import { isKmsError } from '../../core/errors.ts'
import { algorithmsOf, type MacAlgorithm } from '../../core/key-spec.ts'
import type { CallOptions, CryptoProvider, MasterKeyRef } from '../../core/ports/crypto-provider.ts'
import { invariant } from '../../lib/invariant.ts'
import { CANARY_DOMAIN } from './ha-canary.ts'
import {
  type CopyProof,
  type Finding,
  NO_WAYS,
  type ProofParts,
  type Refusal,
  tellReplaced,
} from './ha-proof.ts'
import { otherName } from './key-templates.ts'

const MAY_BE_USED: Finding = { state: 'proven', seals: NO_WAYS, uses: true }
const NONCE_BYTES = 16

/**
 * Proves key pairs: the primary proved when it made the pair that the public key in the store is the one of its private key, so
 * the replica's private key is the same when that very public key tells that it was used.
 */
export class PairProof implements CopyProof<Buffer> {
  readonly #parts: ProofParts

  constructor(parts: ProofParts) {
    this.#parts = parts
  }

  /** The public key that callers are given. */
  async wordOf({ keyId, versionId }: MasterKeyRef): Promise<Buffer | undefined> {
    const keys = await this.#parts.store.listRegions(keyId)
    const version = keys.flatMap(({ versions }) => versions).find((one) => one.versionId === versionId)
    return version?.publicKey === undefined ? undefined : Buffer.from(version.publicKey, 'base64')
  }

  async compare(ref: MasterKeyRef, publicKey: Buffer, options: CallOptions): Promise<Finding | Refusal> {
    return unlessRefused(async () => {
      const copied = await this.#parts.replica.readPublicKey(ref, options)
      return copied.equals(publicKey) ? MAY_BE_USED : { why: 'its public key is not the one in the store' }
    })
  }
}

/** What a MAC key of the primary's made: the hash alone, since a MAC is for who may use the key. */
interface MacCanary {
  /** Hex. */
  readonly nonce: string
  /** SHA-256 of the MAC of {@link canaryText}, hex. */
  readonly digest: string
}

/** Proves MAC keys: the replica makes the same MAC of a text that nobody else asks for one of. */
export class MacProof implements CopyProof<MacCanary> {
  readonly #parts: ProofParts

  constructor(parts: ProofParts) {
    this.#parts = parts
  }

  /** From the store, and made anew where the primary makes another MAC. */
  async wordOf(ref: MasterKeyRef, _: unknown, options: CallOptions): Promise<MacCanary | undefined> {
    const { primary, store } = this.#parts
    const kept = parseMacCanary((await store.getCanary(ref.versionId)) ?? '')
    if (!primary.available) return kept
    if (kept && (await digestOf(primary, ref, kept.nonce, options)) === kept.digest) return kept
    if (kept)
      tellReplaced(
        this.#parts,
        ref,
        'the primary does not make the MAC of the canary in the store; it is replaced',
      )
    const nonce = randomBytes(NONCE_BYTES).toString('hex')
    const made = { nonce, digest: await digestOf(primary, ref, nonce, options) }
    await store.putCanary(ref.versionId, JSON.stringify({ mac: made }))
    return made
  }

  async compare(
    ref: MasterKeyRef,
    { nonce, digest }: MacCanary,
    options: CallOptions,
  ): Promise<Finding | Refusal> {
    return unlessRefused(async () => {
      const copied = await digestOf(this.#parts.replica, ref, nonce, options)
      return copied === digest ? MAY_BE_USED : { why: 'it makes other MACs than the primary' }
    })
  }
}

/** A token that cannot use a copy, or uses it to another end, says so in a way that trying again does not mend. */
async function unlessRefused(compare: () => Promise<Finding | Refusal>): Promise<Finding | Refusal> {
  try {
    return await compare()
  } catch (error) {
    if (!isKmsError(error, 'UNSUPPORTED') && !isKmsError(error, 'CIPHERTEXT_INVALID')) throw error
    return { why: 'the replica does not use it as the primary does', cause: error }
  }
}

async function digestOf(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  nonce: string,
  options: CallOptions,
): Promise<string> {
  return hash('sha256', await provider.mac(ref, macAlgorithmOf(ref), canaryText(ref, nonce), options), 'hex')
}

function macAlgorithmOf(ref: MasterKeyRef): MacAlgorithm {
  const [algorithm] = algorithmsOf(otherName(ref)).mac
  invariant(algorithm, 'a MAC key has an algorithm')
  return algorithm
}

function canaryText({ versionId }: MasterKeyRef, nonce: string): Buffer {
  return Buffer.from(`${CANARY_DOMAIN}\0${versionId}\0mac\0${nonce}`, 'utf8')
}

/** `undefined` for anything that {@link MacProof} did not write: such a canary proves nothing. */
function parseMacCanary(encoded: string): MacCanary | undefined {
  try {
    const { mac } = JSON.parse(encoded) as { readonly mac?: Readonly<Record<string, unknown>> }
    const { nonce, digest } = mac ?? {}
    return isHex(nonce, NONCE_BYTES) && isHex(digest, 32) ? { nonce, digest } : undefined
  } catch {
    return undefined
  }
}

function isHex(value: unknown, bytes: number): value is string {
  return typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value)
}
