/** A fresh key pair of a client, on its way to its owner. */
export interface IssuedClientKey {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer
  /** PKCS#12 with the private key and a certificate of it, under the password. Given out once, kept nowhere. */
  readonly pkcs12: Buffer
}

/** Makes the key pairs of clients. They are of no token: their private halves leave this service at once. */
export interface ClientKeyIssuer {
  /**
   * @param request.name - Common name of the certificate.
   * @param request.password - Of characters that PKCS#12 keeps apart: ASCII.
   * @param request.notBefore - Milliseconds since the epoch, as is `notAfter`: what the certificate says.
   */
  issue(request: {
    readonly name: string
    readonly password: string
    readonly notBefore: number
    readonly notAfter: number
  }): Promise<IssuedClientKey>
}
