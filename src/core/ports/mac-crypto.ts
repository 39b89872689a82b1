import type { MacAlgorithm } from '../key-spec.ts'
import type { CallOptions, MasterKeyRef } from './provider-call.ts'

/** What the secret of a MAC key does. Fails as `CryptoProvider` says. */
export interface MacCrypto {
  /**
   * The MAC of a message under the secret of a version.
   *
   * @param message - 1 to 4096 bytes.
   * @returns As long as the hash of the algorithm gives. To verify one, compare in constant time.
   * @see PKCS#11 v3.1, "HMAC mechanisms"
   */
  mac(ref: MasterKeyRef, algorithm: MacAlgorithm, message: Buffer, options: CallOptions): Promise<Buffer>
}
