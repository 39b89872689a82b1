import type { ClientCredential } from '../../../core/client-key-directory.ts'

/** Where the façade looks up who signed a request. */
export interface ClientCredentials {
  /** @throws {@link KmsError} `STORE_UNAVAILABLE` */
  find(clientKeyId: string): Promise<ClientCredential | undefined>
}
