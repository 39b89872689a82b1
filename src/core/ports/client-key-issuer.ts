/** A fresh key pair of a client, on its way to its owner. */
export interface IssuedClientKey {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer
  /** PKCS#12 with the private key and a certificate of it, under the password. Given out once, kept nowhere. */
  readonly pkcs12: Buffer
}

export interface IssueRequest {
  /** Common name of the certificate. */
  readonly name: string
  /** Of characters that PKCS#12 keeps apart: ASCII. */
  readonly password: string
  /** What the certificate says, in milliseconds since the epoch; as does `notAfter`. */
  readonly notBefore: number
  readonly notAfter: number
}

/** Makes the key pairs of clients. They are of no token: their private halves leave this service at once. */
export interface ClientKeyIssuer {
  /**
   * Keeps no other work of the process waiting, though it takes a tenth of a second and more.
   *
   * @throws {@link KmsError} `ISSUER_BUSY` when it takes too long.
   */
  issue(request: IssueRequest): Promise<IssuedClientKey>
}
