/** A named curve of the short Weierstrass form (SEC 1, "Elliptic Curve Domain Parameters"). */
export interface Curve {
  /** DER of its object identifier, tag and length included: CKA_EC_PARAMS of PKCS#11, namedCurve of PKCS#8. */
  readonly oid: Buffer
  /** Name in OpenSSL. */
  readonly opensslName: string
  /** Length of a coordinate and of a private scalar. Bytes. */
  readonly scalarBytes: number
}

/** DER of id-Ed25519 (RFC 8410, "Curve25519 and Curve448 Algorithm Identifiers"). */
export const ED25519_OID = Buffer.from('06032b6570', 'hex')

export const CURVES = {
  P256: { oid: Buffer.from('06082a8648ce3d030107', 'hex'), opensslName: 'prime256v1', scalarBytes: 32 },
  P384: { oid: Buffer.from('06052b81040022', 'hex'), opensslName: 'secp384r1', scalarBytes: 48 },
  P521: { oid: Buffer.from('06052b81040023', 'hex'), opensslName: 'secp521r1', scalarBytes: 66 },
  SECP256K1: { oid: Buffer.from('06052b8104000a', 'hex'), opensslName: 'secp256k1', scalarBytes: 32 },
} as const satisfies Readonly<Record<string, Curve>>
