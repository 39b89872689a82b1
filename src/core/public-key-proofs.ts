import { KmsError } from './errors.ts'
import type { KeyVersion } from './key.ts'
import type { KeyPairCrypto } from './ports/key-pair-crypto.ts'
import type { CallOptions, MasterKeyRef } from './ports/provider-call.ts'
import { spkiOf } from './verify-signature.ts'

export interface PublicKeyProofsDeps {
  readonly provider: Pick<KeyPairCrypto, 'readPublicKey'>
  /** Versions whose proof is remembered; the oldest goes first. */
  readonly entriesMax: number
}

/**
 * Proves that the public keys of the store are those of the token. Who can write the store could put one of their own in the place of
 * another: callers would encrypt for them, and take their signatures. The token is asked once per version and process, and
 * not for a key that it has just made here; from then on public keys are used without it.
 */
export class PublicKeyProofs {
  readonly #deps: PublicKeyProofsDeps
  /** Public keys of the token, as the store has them, by version id. */
  readonly #proven = new Map<string, string>()

  constructor(deps: PublicKeyProofsDeps) {
    this.#deps = deps
  }

  /** What the token gave when it made the version. */
  note({ versionId, publicKey }: KeyVersion): void {
    if (publicKey === undefined) return
    this.#proven.delete(versionId)
    this.#proven.set(versionId, publicKey)
    const oldest = this.#proven.keys().next().value
    if (this.#proven.size > this.#deps.entriesMax && oldest !== undefined) this.#proven.delete(oldest)
  }

  /**
   * To be waited for before the public key of a version is used or given out.
   *
   * @param ref - Where the material of `version` is.
   * @throws {@link KmsError} `STORE_UNAVAILABLE` when the token has another one; what the provider throws when it cannot be asked.
   */
  async require(ref: MasterKeyRef, version: KeyVersion, options: CallOptions): Promise<void> {
    if (this.#proven.get(version.versionId) === version.publicKey) return
    const ofToken = await this.#deps.provider.readPublicKey(ref, options)
    if (!ofToken.equals(spkiOf(version))) throw altered(ref)
    this.note(version)
  }
}

function altered({ keyId, token, versionId }: MasterKeyRef): KmsError<'STORE_UNAVAILABLE'> {
  const message = `The store was altered: it holds another public key of version '${versionId}' of key '${keyId}' than the token "${token}".`
  return new KmsError('STORE_UNAVAILABLE', message, {})
}
