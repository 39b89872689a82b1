import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js'

/** A parameter set of ML-DSA. Bytes. @see FIPS 204, "Parameter Sets"; RFC 9881, "Algorithm Identifiers" */
export interface MlDsaSet {
  /** DER of its object identifier, tag and length included. */
  readonly oid: Buffer
  readonly publicKeyBytes: number
  readonly signatureBytes: number
}

/** The representative µ of a message that is signed without its message. Bytes. @see FIPS 204, "Internal Functions" */
export const MU_BYTES = 64

export const ML_DSA_SETS = {
  ML_DSA_44: { oid: oid(0x11), publicKeyBytes: 1312, signatureBytes: 2420 },
  ML_DSA_65: { oid: oid(0x12), publicKeyBytes: 1952, signatureBytes: 3309 },
  ML_DSA_87: { oid: oid(0x13), publicKeyBytes: 2592, signatureBytes: 4627 },
} as const satisfies Readonly<Record<string, MlDsaSet>>
export type MlDsaSetName = keyof typeof ML_DSA_SETS

const VERIFIERS = { ML_DSA_44: ml_dsa44, ML_DSA_65: ml_dsa65, ML_DSA_87: ml_dsa87 }

/** 2.16.840.1.101.3.4.3, and the last arc. */
function oid(arc: number): Buffer {
  return Buffer.concat([Buffer.from('06096086480165030403', 'hex'), Buffer.of(arc)])
}

/**
 * ML-DSA with an empty context. Not by Node's crypto, which knows ML-DSA where its OpenSSL does, from Node 24 and late releases of Node 22
 * on, and no µ at all: one verifier says the same on every release.
 *
 * @param spki - SubjectPublicKeyInfo of ours: its key stands at its end.
 * @param signed - A message, or µ of {@link MU_BYTES}.
 * @param signature - Untrusted.
 */
export function verifyMlDsa(
  spki: Buffer,
  kind: 'message' | 'mu',
  signed: Buffer,
  signature: Buffer,
): boolean {
  const found = setOf(spki)
  if (!found || signature.length !== ML_DSA_SETS[found].signatureBytes) return false
  const publicKey = spki.subarray(spki.length - ML_DSA_SETS[found].publicKeyBytes)
  const verifier = VERIFIERS[found]
  return kind === 'mu'
    ? verifier.internal.verify(signature, signed, publicKey, { externalMu: true })
    : verifier.verify(signature, signed, publicKey)
}

/** What stands before the key in a SubjectPublicKeyInfo of any set. Bytes. */
const SPKI_HEADER_BYTES = 22

/** Lengths of public keys tell the sets apart. */
function setOf(spki: Buffer): MlDsaSetName | undefined {
  const names = Object.keys(ML_DSA_SETS) as MlDsaSetName[]
  return names.find((name) => SPKI_HEADER_BYTES + ML_DSA_SETS[name].publicKeyBytes === spki.length)
}
