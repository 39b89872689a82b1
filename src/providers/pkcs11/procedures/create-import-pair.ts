import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import type { WrappingAlgorithm, WrappingKeySpec } from '../../../core/ports/import-store.ts'
import { describeFault, isAmbiguous, type TokenFault, TokenRefusal, toFault } from '../errors.ts'
import { freshIv, gcmSeal } from '../gcm.ts'
import { findImportPair, type ImportWay, importPairGeneration, MODULUS_BITS } from '../import-pair-objects.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { destroyAll } from '../make-object.ts'
import { GCM_TAG_BYTES } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import { readPublicKey } from '../pair-attributes.ts'
import { isUnsupported } from '../private-key-wrap.ts'
import { unwrappedKeyTemplate } from '../templates.ts'
import { hashOf, MATERIAL_BYTES, unwrapInside, unwrapOnHost, wrapsInTwoSteps } from '../unwrap-material.ts'
import { proveKeysVisible } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** What to make; part 0 as JSON. */
export interface ImportPairJob {
  readonly pairId: string
  readonly algorithm: WrappingAlgorithm
  readonly spec: WrappingKeySpec
  /** Name of the token, for operators and callers. */
  readonly token: string
  readonly allowHostMemory: boolean
  /** Nothing is begun later: it could not be stopped in time. Milliseconds since the epoch. */
  readonly startBy: number
}

const KWP_IV = Buffer.from('a65959a6', 'hex')
const PROOF = Buffer.from('p11kms/import-pair/v1', 'utf8')
const EPHEMERAL_BYTES = 32

/**
 * Makes a key pair that material may be wrapped for, and proves with material of nobody's that it unwraps. Whether the token can do
 * that inside is found so, and remembered for the connection.
 *
 * Part 0: {@link ImportPairJob}. Results: SubjectPublicKeyInfo, the way as JSON.
 */
export const createImportPair: Procedure = (token, _, parts) => {
  const job = parseJsonPart(part(parts, 0)) as ImportPairJob
  if (Date.now() > job.startBy)
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: 'The write lane was busy for too long.' })
  if (findImportPair(token, job.pairId).length > 0)
    throw new TokenRefusal({ code: 'ALREADY_EXISTS', reason: 'The token already holds that import pair.' })
  const refusal = whyNotInside(token, job)
  if (refusal === undefined) return make(token, job, 'inside')
  if (job.allowHostMemory) return make(token, job, 'host')
  throw needsHostMemory(job, describeFault(refusal))
}

/** @param why - Why the token does not unwrap inside itself. */
export function needsHostMemory(
  { token, algorithm }: Pick<ImportPairJob, 'token' | 'algorithm'>,
  why: string,
): TokenRefusal {
  const mechanisms = mechanismsOf(algorithm)
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    cannot: `cannot unwrap key material with ${mechanisms} inside, and allowHostMemory of the token is not set`,
    reason: `The token ${token} cannot unwrap key material with ${mechanisms} inside (${why}), and allowHostMemory of the token is not set.`,
    hint: 'Ask for RSAES_OAEP_SHA_1 or RSA_AES_KEY_WRAP_SHA_1, use a token that can, or let imported material pass through host memory with allowHostMemory: true of the token in the configuration.',
  })
}

/** Destroys the private key of a pair. Part 0: its id as JSON. */
export const destroyImportPair: Procedure = (token, _, parts) => {
  const handles = findImportPair(token, parseJsonPart(part(parts, 0)) as string)
  if (handles.length === 0) proveKeysVisible(token)
  for (const handle of handles) token.p11.C_DestroyObject(token.session, handle)
  return []
}

function mechanismsOf(algorithm: WrappingAlgorithm): string {
  const hash = hashOf(algorithm) === 'sha1' ? 'SHA-1' : 'SHA-256'
  return `CKM_RSA_PKCS_OAEP and ${hash}${wrapsInTwoSteps(algorithm) ? ', then RFC 5649,' : ''}`
}

/** Found with the smallest pair, once per connection and algorithm. */
function whyNotInside(token: LaneToken, job: ImportPairJob): TokenFault | undefined {
  const what = `imports ${job.algorithm}`
  if (token.pairFacts.has(what)) return token.pairFacts.get(what)
  let refusal: TokenFault | undefined
  try {
    const made = generate(token, { ...job, spec: 'RSA_2048' }, 'inside')
    try {
      prove(token, { ...job, spec: 'RSA_2048' }, 'inside', made)
    } finally {
      destroyAll(token, [made.privateKey])
    }
  } catch (error) {
    // The token works otherwise, or the pair that is made next tells that it does not.
    const fault = toFault(error)
    if (!isUnsupported(error) && !isAmbiguous(fault) && !isBadArgument(fault)) throw error
    token.discardSession()
    refusal = fault
  }
  token.pairFacts.set(what, refusal)
  return refusal
}

/** SoftHSM 2.6.1 answers so to OAEP with SHA-256. */
function isBadArgument(fault: TokenFault): boolean {
  return fault.kind === 'cryptoki' && fault.name === 'CKR_ARGUMENTS_BAD'
}

function make(token: LaneToken, job: ImportPairJob, way: ImportWay): readonly Buffer[] {
  const made = generate(token, job, way)
  try {
    prove(token, job, way, made)
  } catch (error) {
    destroyAll(token, [made.privateKey])
    throw error
  }
  return [made.spki, jsonPart(way)]
}

interface MadePair {
  readonly privateKey: Handle
  readonly spki: Buffer
}

function generate(token: LaneToken, { pairId, spec }: ImportPairJob, way: ImportWay): MadePair {
  const { p11, session } = token
  const { mechanism, publicTemplate, privateTemplate } = importPairGeneration(pairId, spec, way)
  const { publicKey, privateKey } = p11.C_GenerateKeyPair(
    session,
    { mechanism },
    publicTemplate,
    privateTemplate,
  )
  token.countSessionObjects(1)
  try {
    const spki = readPublicKey(token, publicKey, { kind: 'rsa', modulusBits: MODULUS_BITS[spec] })
    p11.C_DestroyObject(session, publicKey)
    return { privateKey, spki }
  } catch (error) {
    destroyAll(token, [privateKey, publicKey])
    throw error
  }
}

/** Proves that a pair unwraps. @throws What the token answered; {@link TokenRefusal}. */
export function provePair(
  token: LaneToken,
  privateKey: Handle,
  { algorithm, spec }: Pick<ImportPairJob, 'algorithm' | 'spec'>,
  way: ImportWay,
): void {
  const spki = readPublicKey(token, privateKey, { kind: 'rsa', modulusBits: MODULUS_BITS[spec] })
  prove(token, { algorithm, spec }, way, { privateKey, spki })
}

/** Wraps material of nobody's here and sees that it is the same once it is unwrapped. */
function prove(
  token: LaneToken,
  { algorithm, spec }: Pick<ImportPairJob, 'algorithm' | 'spec'>,
  way: ImportWay,
  { privateKey, spki }: MadePair,
): void {
  const modulusBytes = MODULUS_BITS[spec] / 8
  const material = randomBytes(MATERIAL_BYTES)
  const wrapped = wrapOnHost(algorithm, spki, material)
  try {
    const same =
      way === 'host'
        ? isSame(unwrapOnHost(token, privateKey, algorithm, modulusBytes, wrapped), material)
        : sealsAs(
            token,
            unwrapInside(token, privateKey, algorithm, modulusBytes, wrapped, unwrappedKeyTemplate('enc')),
            material,
          )
    if (same) return
  } finally {
    material.fill(0)
  }
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'What the token unwraps is not what was wrapped.' })
}

function isSame(unwrapped: Buffer, material: Buffer): boolean {
  const same = unwrapped.equals(material)
  unwrapped.fill(0)
  return same
}

function sealsAs(token: LaneToken, key: Handle, material: Buffer): boolean {
  token.countSessionObjects(1)
  try {
    const { iv, bytes } = gcmSeal(token, key, freshIv(token), PROOF, PROOF)
    const decipher = createDecipheriv('aes-256-gcm', material, iv)
    decipher.setAAD(PROOF)
    decipher.setAuthTag(bytes.subarray(-GCM_TAG_BYTES))
    return Buffer.concat([decipher.update(bytes.subarray(0, -GCM_TAG_BYTES)), decipher.final()]).equals(PROOF)
  } finally {
    token.p11.C_DestroyObject(token.session, key)
  }
}

function wrapOnHost(algorithm: WrappingAlgorithm, spki: Buffer, material: Buffer): Buffer {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(algorithm) }
  if (!wrapsInTwoSteps(algorithm)) return publicEncrypt(options, material)
  const ephemeral = randomBytes(EPHEMERAL_BYTES)
  const cipher = createCipheriv('id-aes256-wrap-pad', ephemeral, KWP_IV)
  const wrapped = Buffer.concat([publicEncrypt(options, ephemeral), cipher.update(material), cipher.final()])
  ephemeral.fill(0)
  return wrapped
}
