import { constants, publicEncrypt } from 'node:crypto'
import { invariant } from '../../lib/invariant.ts'
import type { CallerAad } from '../caller-aad.ts'
import { ciphertextInvalid, KmsError } from '../errors.ts'
import { tokenRef } from '../find-key.ts'
import type { KeyVersion, MasterKey } from '../key.ts'
import { type EncryptionAlgorithm, OAEP_ALGORITHMS, type OaepAlgorithm, pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { oaepBytesMax } from '../oaep.ts'
import { publicKeyOf, spkiOf } from '../verify-signature.ts'
import { callOptions, type OpenedPayload, type SealedPayload } from './seal-payload.ts'

/** Encryption with RSA: with the public key here, and with the private one in the token. */

/** A key pair, and which version of it. */
export interface PairVersion {
  readonly key: MasterKey
  readonly version: KeyVersion
}

/** @returns The algorithm as one of RSA; `undefined` for that of symmetric keys. */
export function oaepOf(algorithm: EncryptionAlgorithm): OaepAlgorithm | undefined {
  return algorithm === 'SYMMETRIC_DEFAULT' ? undefined : algorithm
}

/**
 * Refuses what a caller would bind to a ciphertext with an algorithm that authenticates nothing beside it.
 *
 * @throws {@link KmsError} `REQUEST_INVALID`
 */
export function refuseAad(algorithm: OaepAlgorithm, aad: CallerAad): void {
  if (aad.kind === 'context' && aad.context.size === 0) return
  if (aad.kind === 'bytes' && aad.bytes.length === 0) return
  const message = `An encryption context cannot be used with algorithm ${algorithm}.`
  throw new KmsError('REQUEST_INVALID', message, { field: 'EncryptionContext' })
}

/**
 * @param onChecked - Called when nothing can refuse any more.
 * @throws {@link KmsError} `REQUEST_INVALID` where the plaintext is too long; in the words of AWS KMS.
 */
export async function encryptRsa(
  deps: KmsDeps,
  context: CallContext,
  { key, version }: PairVersion,
  algorithm: OaepAlgorithm,
  plaintext: Buffer,
  onChecked: () => void,
): Promise<SealedPayload> {
  const bytesMax = oaepBytesMax(algorithm, modulusBytesOf(key))
  if (plaintext.length > bytesMax) {
    const message = `Algorithm ${algorithm} and key spec ${key.spec} cannot encrypt data larger than ${bytesMax} bytes.`
    throw new KmsError('REQUEST_INVALID', message, { field: 'Plaintext' })
  }
  onChecked()
  await deps.publicKeys.require(tokenRef(key, version), version, callOptions(context))
  const { hash } = OAEP_ALGORITHMS[algorithm]
  const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }
  return { blob: publicEncrypt({ key: publicKeyOf(version), ...options }, plaintext), key, version }
}

/**
 * @param onChecked - Called when nothing but the token can refuse any more.
 * @throws {@link KmsError} `CIPHERTEXT_INVALID` whatever is wrong with the ciphertext.
 */
export async function decryptRsa(
  deps: KmsDeps,
  context: CallContext,
  { key, version }: PairVersion,
  algorithm: OaepAlgorithm,
  ciphertext: Buffer,
  onChecked: () => void,
): Promise<OpenedPayload> {
  // What is no number below the modulus is told before the token is asked; that is no secret of anybody's.
  if (!isBelow(ciphertext, modulusOf(version))) throw ciphertextInvalid()
  onChecked()
  const { provider, publicKeys } = deps
  // The token is tried with it where it refuses: another one would pass for a broken token.
  await publicKeys.require(tokenRef(key, version), version, callOptions(context))
  const spki = spkiOf(version)
  const plaintext = await provider.decryptRsa(
    tokenRef(key, version),
    algorithm,
    ciphertext,
    spki,
    callOptions(context),
  )
  return { plaintext, presentation: 'raw', key, version }
}

function modulusBytesOf({ spec }: MasterKey): number {
  const pair = pairOfSpec(spec)
  invariant(pair?.kind === 'rsa', 'the algorithm is one of RSA keys')
  return pair.modulusBits / 8
}

function modulusOf(version: KeyVersion): Buffer {
  const { n = '' } = publicKeyOf(version).export({ format: 'jwk' })
  return Buffer.from(n, 'base64url')
}

/** Of numbers of one length; one of another length is not. */
function isBelow(number: Buffer, bound: Buffer): boolean {
  return number.length === bound.length && Buffer.compare(number, bound) < 0
}
