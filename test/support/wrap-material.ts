import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import type { WrappingAlgorithm } from '../../src/core/ports/import-store.ts'

const KEY_WRAP_PAD_IV = Buffer.from('a65959a6', 'hex')

/** What the owner of key material does with a wrapping key, as AWS KMS documents it ("Encrypt the key material"). */
export function wrapMaterial(algorithm: WrappingAlgorithm, spki: Uint8Array, material: Buffer): Buffer {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  const oaepHash = algorithm.endsWith('SHA_256') ? 'sha256' : 'sha1'
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }
  if (algorithm.startsWith('RSAES')) return publicEncrypt(options, material)
  const ephemeral = randomBytes(32)
  const cipher = createCipheriv('id-aes256-wrap-pad', ephemeral, KEY_WRAP_PAD_IV)
  return Buffer.concat([publicEncrypt(options, ephemeral), cipher.update(material), cipher.final()])
}
