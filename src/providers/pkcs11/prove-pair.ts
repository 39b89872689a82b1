import { createECDH, hash } from 'node:crypto'
import { ecdsaToDer } from '../../core/ecdsa-signature.ts'
import { algorithmsOf, OAEP_ALGORITHMS, pairOfSpec, SIGNING_ALGORITHMS } from '../../core/key-spec.ts'
import { verifyMessage } from '../../core/verify-signature.ts'
import { TokenRefusal } from './errors.ts'
import { deriveWith, SIGNING_MECHANISM_NAMES, signWith } from './key-operations.ts'
import type { OtherName } from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import type { Handle } from './module.ts'
import { proveRsaKey } from './rsa-decryption.ts'
import { unlessUnable } from './unless-unable.ts'

const PROOF_TEXT = Buffer.from('p11kms/key/v1', 'utf8')

/**
 * Uses a private key in every way that its usage allows, and proves by its public key that it did. A key that a policy keeps
 * from its work, or whose public key is another's, is found now, not when somebody needs it.
 *
 * @throws {@link TokenRefusal} `UNSUPPORTED`, naming the mechanism, or what the token answered.
 */
export function provePair(token: LaneToken, name: OtherName, handle: Handle, spki: Buffer): void {
  if (name.usage === 'SIGN_VERIFY') proveSigning(token, name, handle, spki)
  else if (name.usage === 'ENCRYPT_DECRYPT') proveDecrypting(token, name, handle, spki)
  else proveAgreeing(token, name, handle, spki)
}

function proveSigning(token: LaneToken, name: OtherName, handle: Handle, spki: Buffer): void {
  const version = { versionId: name.versionId, number: 1, createdAt: 0, publicKey: spki.toString('base64') }
  for (const algorithm of algorithmsOf(name).signing) {
    const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
    if (scheme === 'eddsa-ph') continue
    const data = scheme === 'eddsa' || scheme === 'ml-dsa' ? PROOF_TEXT : hash(hashName, PROOF_TEXT, 'buffer')
    const cannot = `makes no signatures of algorithm ${algorithm} (${SIGNING_MECHANISM_NAMES[scheme]})`
    const signature = unlessUnable(token, cannot, () => signWith(token, handle, algorithm, data))
    const given = scheme === 'ecdsa' ? ecdsaToDer(signature) : signature
    requireProof(verifyMessage(version, algorithm, PROOF_TEXT, given), cannot)
  }
}

function proveDecrypting(token: LaneToken, name: OtherName, handle: Handle, spki: Buffer): void {
  for (const algorithm of algorithmsOf(name).encryption) {
    if (!(algorithm in OAEP_ALGORITHMS) || algorithm === 'SYMMETRIC_DEFAULT') continue
    const cannot = `does not decrypt with ${algorithm} (CKM_RSA_PKCS_OAEP, CKM_RSA_X_509)`
    unlessUnable(token, cannot, () => {
      try {
        proveRsaKey(token, { handle, spki }, algorithm)
      } catch (error) {
        // What was decrypted is not what was encrypted: of a pair that is yet to be proved, it is the pair, not the device.
        requireProof(!(error instanceof TokenRefusal && error.fault.broken), cannot)
        throw error
      }
    })
  }
}

function proveAgreeing(token: LaneToken, name: OtherName, handle: Handle, spki: Buffer): void {
  const pair = pairOfSpec(name.spec)
  const cannot = `agrees on no secrets with a key of spec ${name.spec} (CKM_ECDH1_DERIVE)`
  if (pair?.kind !== 'ec')
    throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'No such agreement.', cannot })
  const { opensslName, scalarBytes } = pair.curve
  const other = createECDH(opensslName)
  const point = other.generateKeys()
  const secret = unlessUnable(token, cannot, () => deriveWith(token, handle, point, scalarBytes))
  // The point of a SubjectPublicKeyInfo of ours stands at its end.
  const expected = other.computeSecret(spki.subarray(spki.length - 1 - 2 * scalarBytes))
  requireProof(secret.equals(expected), cannot)
}

function requireProof(holds: boolean, cannot: string): void {
  if (holds) return
  const reason = 'The token used a private key to another end than the one of its public key.'
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason, cannot })
}
