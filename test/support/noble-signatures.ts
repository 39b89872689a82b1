import { createHash, hash, type KeyObject, sign } from 'node:crypto'
import { eddsa } from '@noble/curves/abstract/edwards.js'
import { ed25519, ed25519ph } from '@noble/curves/ed25519.js'
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js'
import { KmsError } from '../../src/core/errors.ts'
import type { TokenSigning } from '../../src/core/key-spec.ts'
import type { MlDsaSetName } from '../../src/core/ml-dsa.ts'
import { mlDsaSpki } from '../../src/core/spki.ts'

/** What a token does that knows ML-DSA and Ed25519ph, which Node's crypto does not on every release. */

const SIGNERS = { ML_DSA_44: ml_dsa44, ML_DSA_65: ml_dsa65, ML_DSA_87: ml_dsa87 }

export interface MlDsaPair {
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer
  sign(algorithm: TokenSigning, data: Buffer): Buffer
}

export function makeMlDsaPair(set: MlDsaSetName): MlDsaPair {
  const { publicKey, secretKey } = SIGNERS[set].keygen()
  return {
    spki: mlDsaSpki(set, Buffer.from(publicKey)),
    sign: (algorithm, data) => {
      if (algorithm === 'ML_DSA_SHAKE_256') return Buffer.from(SIGNERS[set].sign(data, secretKey))
      if (algorithm !== 'ML_DSA_EXTERNAL_MU') throw new KmsError('UNSUPPORTED', `No ${algorithm}.`, {})
      return Buffer.from(SIGNERS[set].internal.sign(data, secretKey, { externalMu: true }))
    },
  }
}

/** µ of a message with an empty context. @see FIPS 204, "ML-DSA Signing (External)", "ML-DSA Signing (Internal)" */
export function muOf(spki: Buffer, message: Buffer): Buffer {
  const shake256 = (bytes: Buffer) => createHash('shake256', { outputLength: 64 }).update(bytes).digest()
  return shake256(Buffer.concat([shake256(spki.subarray(22)), Buffer.of(0, 0), message]))
}

/** What a token makes of the flag of Ed25519ph: the signature that is asked for; plain Ed25519; one of the digest's digest. */
export type PhFlagWay = 'honoured' | 'ignored' | 'hashed again'

const DOMAIN = Buffer.concat([Buffer.from('SigEd25519 no Ed25519 collisions', 'latin1'), Buffer.of(1, 0)])
const ofDigest = eddsa(
  ed25519.Point,
  (bytes: Uint8Array) => new Uint8Array(hash('sha512', bytes, 'buffer')),
  {
    adjustScalarBytes: (bytes: Uint8Array) => {
      bytes[0] = (bytes[0] ?? 0) & 248
      bytes[31] = ((bytes[31] ?? 0) & 127) | 64
      return bytes as Uint8Array<ArrayBuffer>
    },
    domain: (data: Uint8Array) => new Uint8Array(Buffer.concat([DOMAIN, data])),
  },
)

export function signEd25519ph(key: KeyObject, digest: Buffer, way: PhFlagWay): Buffer {
  if (way === 'ignored') return sign(null, digest, key)
  const seed = Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url')
  return Buffer.from((way === 'honoured' ? ofDigest : ed25519ph).sign(digest, seed))
}
