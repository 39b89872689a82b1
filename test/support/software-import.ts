import {
  constants,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  sign,
  verify,
} from 'node:crypto'
import { ciphertextInvalid } from '../../src/core/errors.ts'
import type { DataPairAlgorithm } from '../../src/core/key-pair-spec.ts'
import type { KeyKind } from '../../src/core/key-spec.ts'
import { canonicalPkcs8 } from '../../src/core/pkcs8.ts'
import type { WrappedMaterial } from '../../src/core/ports/crypto-provider.ts'

const KEY_WRAP_PAD_IV = Buffer.from('a65959a6', 'hex')
const PROOF = Buffer.from('proof')

/** What was wrapped for a key pair, unwrapped as a token would. */
export function unwrapMaterial(
  key: KeyObject,
  { algorithm, wrapped }: Pick<WrappedMaterial, 'algorithm' | 'wrapped'>,
): Buffer {
  const modulusBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8
  const oaepHash = algorithm.endsWith('SHA_256') ? 'sha256' : 'sha1'
  try {
    const first = privateDecrypt(
      { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash },
      wrapped.subarray(0, modulusBytes),
    )
    if (algorithm.startsWith('RSAES')) return first
    const decipher = createDecipheriv('id-aes256-wrap-pad', first, KEY_WRAP_PAD_IV)
    return Buffer.concat([decipher.update(wrapped.subarray(modulusBytes)), decipher.final()])
  } catch (error) {
    throw ciphertextInvalid(error)
  }
}

/** The objects that material of a kind becomes, as the double keeps them. */
export function materialOf(kind: KeyKind, material: Buffer) {
  const secrets = { enc: material, wrap: material }
  if (kind.kind === 'ml-dsa') throw new TypeError('not imported')
  if (kind.kind !== 'aes' && kind.kind !== 'hmac') {
    const privateKey = readPrivateKey(kind, material)
    return { ...secrets, pair: { privateKey, publicKey: createPublicKey(privateKey) } }
  }
  if (material.length !== kind.lengthBytes) throw ciphertextInvalid()
  return { ...secrets, ...(kind.kind === 'hmac' && { secret: material }) }
}

function readPrivateKey(algorithm: DataPairAlgorithm, pkcs8: Buffer): KeyObject {
  try {
    // The public key is told from the private one, not from what is written beside it.
    const plain = canonicalPkcs8(pkcs8) ?? Buffer.alloc(0)
    const key = createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' })
    if (!isOf(key, algorithm)) throw ciphertextInvalid()
    const digest = algorithm.kind === 'ed25519' ? null : 'sha256'
    if (verify(digest, PROOF, createPublicKey(key), sign(digest, PROOF, key))) return key
  } catch {
    // No private key of the kind.
  }
  throw ciphertextInvalid()
}

function isOf(key: KeyObject, algorithm: DataPairAlgorithm): boolean {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (algorithm.kind === 'rsa') return modulusLength === algorithm.modulusBits && publicExponent === 65_537n
  if (algorithm.kind === 'ec') return namedCurve === algorithm.curve.opensslName
  return key.asymmetricKeyType === 'ed25519'
}
