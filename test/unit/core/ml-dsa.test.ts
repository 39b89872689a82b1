import { generateKeyPairSync, sign } from 'node:crypto'
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { describe, expect, it } from 'vitest'
import { ML_DSA_SETS, type MlDsaSetName, verifyMlDsa } from '../../../src/core/ml-dsa.ts'
import { mlDsaSpki } from '../../../src/core/spki.ts'
import { NODE_NAMES_ML_DSA } from '../../support/new-keys.ts'
import { muOf } from '../../support/noble-signatures.ts'

const SETS = Object.keys(ML_DSA_SETS) as MlDsaSetName[]
const MESSAGE = Buffer.from('signed by another')
const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)

describe.runIf(NODE_NAMES_ML_DSA)('signatures by OpenSSL', () => {
  it.each(SETS)('%s: each verifies, as a message and as µ, and none that was changed', (set) => {
    // The types of Node 24 do not know the names yet.
    const { publicKey, privateKey } = generateKeyPairSync(set.toLowerCase().replaceAll('_', '-') as 'ed25519')
    const spki = publicKey.export({ format: 'der', type: 'spki' })
    expect(mlDsaSpki(set, spki.subarray(spki.length - ML_DSA_SETS[set].publicKeyBytes))).toEqual(spki)
    const signature = sign(null, MESSAGE, privateKey)
    expect(signature).toHaveLength(ML_DSA_SETS[set].signatureBytes)
    expect(verifyMlDsa(spki, 'message', MESSAGE, signature)).toBe(true)
    expect(verifyMlDsa(spki, 'mu', muOf(spki, MESSAGE), signature)).toBe(true)
    for (let at = 0; at < signature.length; at += 97)
      expect(verifyMlDsa(spki, 'message', MESSAGE, flipped(signature, at))).toBe(false)
    expect(verifyMlDsa(spki, 'message', flipped(MESSAGE, 0), signature)).toBe(false)
    expect(verifyMlDsa(spki, 'mu', Buffer.alloc(64), signature)).toBe(false)
  })
})

it('a signature with a context is none of ours, and no key is another one’s', () => {
  const { publicKey, secretKey } = ml_dsa65.keygen()
  const spki = mlDsaSpki('ML_DSA_65', Buffer.from(publicKey))
  const signed = Buffer.from(ml_dsa65.sign(MESSAGE, secretKey))
  expect(verifyMlDsa(spki, 'message', MESSAGE, signed)).toBe(true)
  const inContext = Buffer.from(ml_dsa65.sign(MESSAGE, secretKey, { context: Buffer.from('other') }))
  expect(verifyMlDsa(spki, 'message', MESSAGE, inContext)).toBe(false)
  const other = mlDsaSpki('ML_DSA_65', Buffer.from(ml_dsa65.keygen().publicKey))
  expect(verifyMlDsa(other, 'message', MESSAGE, signed)).toBe(false)
  expect(verifyMlDsa(spki.subarray(1), 'message', MESSAGE, signed)).toBe(false)
})
