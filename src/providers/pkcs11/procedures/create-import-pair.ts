import type { WrappingAlgorithm } from '../../../core/ports/import-store.ts'
import type { ImportWrapping } from '../../../core/ports/material-importer.ts'
import { describeFault, isAmbiguous, type TokenFault, TokenRefusal, toFault } from '../errors.ts'
import { destroyFound } from '../find-objects.ts'
import { findImportPair, type ImportWay, importPairGeneration, MODULUS_BITS } from '../import-pair-objects.ts'
import { proveUnwrapping } from '../import-source.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { destroyAll } from '../make-object.ts'
import type { Handle } from '../module.ts'
import type { MaterialName } from '../object-names.ts'
import { readPublicKey } from '../pair-attributes.ts'
import { isUnsupported } from '../private-key-wrap.ts'
import { hashOf, wrapsInTwoSteps } from '../unwrap-material.ts'
import { proveKeysVisible } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** What to make; part 0 as JSON. */
export interface ImportPairJob extends ImportWrapping {
  readonly pairId: string
  /** Name of the token, for operators and callers. */
  readonly token: string
  readonly allowHostMemory: boolean
  /** Nothing is begun later: it could not be stopped in time. Milliseconds since the epoch. */
  readonly startBy: number
}

/** Names the key of nobody's that a pair is proved with; no object bears it. */
const NOBODYS = { keyId: 'nobody', versionId: 'nobody', versionNumber: 1 } as const

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
  {
    token,
    algorithm,
    material,
  }: Pick<ImportPairJob, 'token' | 'algorithm'> & {
    readonly material: Pick<MaterialName, 'spec'>
  },
  why: string,
): TokenRefusal {
  const { spec = 'SYMMETRIC_DEFAULT' } = material
  const mechanisms = mechanismsOf(algorithm)
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    cannot: `cannot unwrap key material of spec ${spec} with ${mechanisms} inside, and allowHostMemory of the token is not set`,
    reason: `The token ${token} cannot unwrap key material of spec ${spec} with ${mechanisms} inside (${why}), and allowHostMemory of the token is not set.`,
    hint: 'Ask for another wrapping algorithm or key spec (docs/operating/import.md), use a token that can, or let imported material pass through host memory with allowHostMemory: true of the token in the configuration.',
  })
}

/** Destroys the private key of a pair. Part 0: its id as JSON. */
export const destroyImportPair: Procedure = (token, _, parts) => {
  const handles = findImportPair(token, parseJsonPart(part(parts, 0)) as string)
  if (handles.length === 0) proveKeysVisible(token)
  destroyFound(token, handles)
  return []
}

function mechanismsOf(algorithm: WrappingAlgorithm): string {
  const hash = hashOf(algorithm) === 'sha1' ? 'SHA-1' : 'SHA-256'
  return `CKM_RSA_PKCS_OAEP and ${hash}${wrapsInTwoSteps(algorithm) ? ', then RFC 5649,' : ''}`
}

/** Found with a pair of its own, once per connection, algorithm and spec of the material. */
function whyNotInside(token: LaneToken, job: ImportPairJob): TokenFault | undefined {
  const what = `imports ${job.material.spec} with ${job.algorithm}`
  if (token.pairFacts.has(what)) return token.pairFacts.get(what)
  let refusal: TokenFault | undefined
  try {
    const trial = trialOf(job)
    const made = generate(token, trial, 'inside')
    try {
      prove(token, trial, 'inside', made)
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

/** With the smallest pair that such material fits. */
function trialOf(job: ImportPairJob): ImportPairJob {
  const isLong = job.material.spec === 'ECC_NIST_P521' && !wrapsInTwoSteps(job.algorithm)
  return isLong ? job : { ...job, spec: 'RSA_2048' }
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
    throw way === 'host' && isUnsupported(error) ? takesNone(job, error) : error
  }
  return [made.spki, jsonPart(way)]
}

function takesNone({ token, material }: ImportPairJob, error: unknown): TokenRefusal {
  const cannot = `takes no key material of spec ${material.spec} (C_CreateObject)`
  return new TokenRefusal({
    code: 'UNSUPPORTED',
    cannot,
    reason: `The token ${token} ${cannot}: ${describeFault(toFault(error))}.`,
    hint: 'Ask for another key spec, or compare the firmware of the token and the policy of the partition.',
  })
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

/** Sees that the pair unwraps material of nobody's. */
function prove(
  token: LaneToken,
  { algorithm, spec, material }: ImportPairJob,
  way: ImportWay,
  { privateKey, spki }: MadePair,
): void {
  const isSymmetric = material.spec === 'SYMMETRIC_DEFAULT'
  const name = isSymmetric ? NOBODYS : { ...NOBODYS, ...material }
  const modulusBytes = MODULUS_BITS[spec] / 8
  proveUnwrapping(token, { name, privateKey, spki, modulusBytes, algorithm, way })
}
