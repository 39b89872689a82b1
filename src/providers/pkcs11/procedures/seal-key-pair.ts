import { type DataPairAlgorithm, KEY_PAIR_SPECS, type KeyPairSpec } from '../../../core/key-pair-spec.ts'
import { canonicalPkcs8 } from '../../../core/pkcs8.ts'
import type { SealMode } from '../../../core/ports/crypto-provider.ts'
import { checkCanary } from '../canary.ts'
import { describeFault, isAmbiguous, type TokenFault, TokenRefusal, toFault } from '../errors.ts'
import { freshIv, gcmSeal } from '../gcm.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { withPair } from '../make-pair.ts'
import type { Sealed } from '../mechanisms.ts'
import type { Handle } from '../module.ts'
import { proveMatch, readPrivateKey, readPublicKey } from '../pair-attributes.ts'
import {
  isUnsupported,
  type SealingKeys,
  sealPrivateKeyByWrapping,
  sealWrappedPrivateKey,
  wrapAndUnwrap,
} from '../private-key-wrap.ts'
import { CKA } from '../templates.ts'
import { type Procedure, part } from './procedure.ts'

/** What to make; part 0 as JSON. */
export interface PairJob {
  readonly spec: KeyPairSpec
  /** The answer has the private key too. */
  readonly readable: boolean
  /** Where it cannot be sealed inside, it may be sealed from this lane's memory. */
  readonly allowHostMemory: boolean
}

/** How the private key was sealed; result 0 as JSON. */
export interface PairSealing {
  readonly mode: SealMode
  readonly hostMemory?: true
}

interface Task extends PairJob, SealingKeys {
  readonly algorithm: DataPairAlgorithm
  readonly aads: Readonly<Record<SealMode, Buffer>>
}

const PROOF_RSA: DataPairAlgorithm = { kind: 'rsa', modulusBits: 2048 }

/**
 * Makes a key pair, seals its private key, and destroys it. A readable one is sealed as host bytes (mode W0), since its caller
 * sees it anyway; another one is wrapped, and this process sees wrapped bytes alone.
 *
 * Parts: {@link PairJob} as JSON, handle of the `enc` object, handle of the `wrap` object, AAD of modes W0, W1 and W2.
 * Results: {@link PairSealing} as JSON, IV, ciphertext and tag, SubjectPublicKeyInfo, PKCS#8 where it is readable.
 */
export const sealKeyPair: Procedure = (token, _, parts) => {
  const job = parseJsonPart(part(parts, 0)) as PairJob
  const [enc, wrap] = [part(parts, 1), part(parts, 2)]
  const aads = { W0: part(parts, 3), W1: part(parts, 4), W2: part(parts, 5) }
  const task: Task = { ...job, algorithm: KEY_PAIR_SPECS[job.spec].algorithm, enc, wrap, aads }
  // A stale handle is told before the token works for seconds.
  for (const handle of [enc, wrap])
    token.p11.C_GetAttributeValue(token.session, handle, [{ type: CKA.CLASS }])
  return job.readable ? sealReadable(token, task) : sealInside(token, task)
}

function sealReadable(token: LaneToken, task: Task): readonly Buffer[] {
  const { spki, pkcs8 } = makeReadable(token, task)
  try {
    const { iv, bytes } = gcmSeal(token, task.enc, freshIv(token), pkcs8, task.aads.W0)
    return [jsonPart({ mode: 'W0' } satisfies PairSealing), iv, bytes, spki, pkcs8]
  } catch (error) {
    pkcs8.fill(0)
    throw error
  }
}

function sealInside(token: LaneToken, task: Task): readonly Buffer[] {
  const refusal = whyNotInside(token, task)
  if (refusal === undefined) return sealUnseen(token, task)
  if (!task.allowHostMemory) {
    // A hint of its own: the token makes no such pair, and host memory would not help.
    if (refusal.kind === 'refusal' && refusal.hint !== undefined) throw new TokenRefusal(refusal)
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason: `The token cannot seal a private key of spec ${task.spec} inside: ${describeFault(refusal).replace(/\.$/, '')}.`,
      hint: 'Use a token that can, or let such keys pass through host memory with allowHostMemory: true of the token in the configuration.',
    })
  }
  const [, iv, bytes, spki, pkcs8] = sealReadable(token, task) as [Buffer, Buffer, Buffer, Buffer, Buffer]
  pkcs8.fill(0)
  return [jsonPart({ mode: 'W0', hostMemory: true } satisfies PairSealing), iv, bytes, spki]
}

function sealUnseen(token: LaneToken, task: Task): readonly Buffer[] {
  return withPair(token, { ...task, sensitive: mayBeSensitive(token) }, ({ publicKey, privateKey }) => {
    const spki = readPublicKey(token, publicKey, task.algorithm)
    const { mode, sealed } = sealPrivateKey(token, task, privateKey)
    return [jsonPart({ mode } satisfies PairSealing), sealed.iv, sealed.bytes, spki]
  })
}

/** Seals a private key that stays in the token. */
function sealPrivateKey(
  token: LaneToken,
  task: Task,
  key: Handle,
): { readonly mode: 'W1' | 'W2'; readonly sealed: Sealed } {
  const mode = token.capabilities.insideSealMode ?? 'W2'
  const seal = mode === 'W1' ? sealPrivateKeyByWrapping : sealWrappedPrivateKey
  return { mode, sealed: seal(token, task, key, task.aads[mode]) }
}

/** nShield and Proteccio keep no extractable key sensitive. */
function mayBeSensitive(token: LaneToken): boolean {
  return token.capabilities.dataKeysSensitive
}

/**
 * Proves once per connection and kind, with a pair of nobody's, that what is sealed opens again to the private key:
 * nobody would know of a sealed one that does not before it is needed.
 *
 * @returns Why the token cannot do it; `undefined` when it can.
 */
function whyNotInside(token: LaneToken, task: Task): TokenFault | undefined {
  const { kind } = task.algorithm
  const what = `seals ${kind === 'rsa' ? kind : task.spec}`
  if (token.pairFacts.has(what)) return token.pairFacts.get(what)
  const algorithm = kind === 'rsa' ? PROOF_RSA : task.algorithm
  let refusal: TokenFault | undefined
  try {
    orUnable(token, task, () => makeWrapped(token, { ...task, algorithm })).pkcs8.fill(0)
  } catch (error) {
    if (!isUnsupported(error)) throw error
    refusal = toFault(error)
  }
  token.pairFacts.set(what, refusal)
  return refusal
}

/**
 * Does what the token may be unable to do. Some tokens answer that as they do when they are broken: such an answer costs one more
 * try, and after the second a canary tells which it is.
 *
 * @throws {@link TokenRefusal} `UNSUPPORTED` when the token works otherwise; what it answered when it does not.
 */
function orUnable<T>(token: LaneToken, { enc }: SealingKeys, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (isUnsupported(error) || !isAmbiguous(toFault(error))) throw error
    token.discardSession()
  }
  try {
    return work()
  } catch (error) {
    const fault = toFault(error)
    if (isUnsupported(error) || !isAmbiguous(fault)) throw error
    token.discardSession()
    checkCanary(token, enc)
    throw new TokenRefusal({ code: 'UNSUPPORTED', reason: `${describeFault(fault)}.` })
  }
}

interface ReadablePair {
  readonly spki: Buffer
  readonly pkcs8: Buffer
}

/** Both keys of a pair in this lane's memory, proved to match. The caller zeroes `pkcs8`. */
function makeReadable(token: LaneToken, task: Task): ReadablePair {
  const hides = `hides ${task.algorithm.kind}`
  if (token.pairFacts.has(hides)) return makeWrapped(token, task)
  let hidden: unknown
  try {
    return orUnable(token, task, () => makeShown(token, task))
  } catch (error) {
    if (!isUnsupported(error) || token.capabilities.insideSealMode === undefined) throw error
    hidden = error
  }
  try {
    const pair = orUnable(token, task, () => makeWrapped(token, task))
    token.pairFacts.set(hides, undefined)
    return pair
  } catch (error) {
    throw isUnsupported(error) ? hidden : error
  }
}

/** By its attributes. */
function makeShown(token: LaneToken, task: Task): ReadablePair {
  return withPair(token, { ...task, sensitive: false }, ({ publicKey, privateKey }) => {
    const spki = readPublicKey(token, publicKey, task.algorithm)
    return proved(task, spki, readPrivateKey(token, privateKey, task.algorithm))
  })
}

/** By wrapping and unwrapping, as Decrypt will. */
function makeWrapped(token: LaneToken, task: Task): ReadablePair {
  return withPair(token, { ...task, sensitive: mayBeSensitive(token) }, ({ publicKey, privateKey }) => {
    const spki = readPublicKey(token, publicKey, task.algorithm)
    const written = wrapAndUnwrap(token, task, privateKey)
    const pkcs8 = canonicalOf(written)
    if (pkcs8) return proved(task, spki, pkcs8)
    throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'The token does not wrap private keys as PKCS#8.' })
  })
}

/** @param written - A private key; zeroed, whatever becomes of it. */
function canonicalOf(written: Buffer): Buffer | undefined {
  try {
    return canonicalPkcs8(written)
  } finally {
    written.fill(0)
  }
}

function proved({ algorithm }: Task, spki: Buffer, pkcs8: Buffer): ReadablePair {
  try {
    proveMatch(spki, pkcs8, algorithm)
    return { spki, pkcs8 }
  } catch (error) {
    pkcs8.fill(0)
    throw error
  }
}
