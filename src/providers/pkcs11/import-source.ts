import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import type { WrappingAlgorithm } from '../../core/ports/import-store.ts'
import { describeFault, TokenRefusal, toFault } from './errors.ts'
import type { ImportWay } from './import-pair-objects.ts'
import type { LaneToken } from './lane-token.ts'
import type { MaterialKind, MaterialSource } from './material-kind.ts'
import { materialKindOf } from './material-kinds.ts'
import type { Handle } from './module.ts'
import type { MaterialName } from './object-names.ts'
import { isUnsupported } from './private-key-wrap.ts'
import { openProven } from './prove-open.ts'
import { hashOf, KWP_IV, unreadable, unwrapInside, unwrapOnHost, wrapsInTwoSteps } from './unwrap-material.ts'

const EPHEMERAL_BYTES = 32

/** A private key that material is wrapped for, and how. */
export interface Unwrapping {
  /** Of the key that the material is for. */
  readonly name: MaterialName
  readonly privateKey: Handle
  /** SubjectPublicKeyInfo of it. */
  readonly spki: Buffer
  readonly modulusBytes: number
  readonly algorithm: WrappingAlgorithm
  readonly way: ImportWay
}

/**
 * Unwraps material, sees that it is some of the spec, and lends it to `work`; what of it was in host memory is zeroed then. Whatever
 * the token answers to material while it takes other material of the kind, it is the material.
 *
 * @throws {@link TokenRefusal} `CIPHERTEXT_INVALID`; what the token answered; what `work` throws.
 */
export function withMaterial<T>(
  token: LaneToken,
  unwrapping: Unwrapping,
  wrapped: Buffer,
  work: (source: MaterialSource, kind: MaterialKind) => T,
): T {
  const kind = materialKindOf(unwrapping.name.spec)
  const prove = () => proveUnwrapping(token, unwrapping)
  return withSource(
    token,
    unwrapping,
    wrapped,
    (source) => work({ ...source, ...openOrBlame(token, () => kind.examine(token, source), prove) }, kind),
    prove,
  )
}

/**
 * Wraps material of nobody's here, and sees that the token takes it and that it is the same then.
 *
 * @throws What the token answered; {@link TokenRefusal}.
 */
export function proveUnwrapping(token: LaneToken, unwrapping: Unwrapping): void {
  const { name, algorithm, spki } = unwrapping
  const kind = materialKindOf(name.spec)
  const material = kind.nobody(name)
  const same = withSource(token, unwrapping, wrapOnHost(algorithm, spki, material), (source) =>
    kind.isSame(token, { ...source, ...kind.examine(token, source) }, material),
  )
  if (same) return
  throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'What the token unwraps is not what was wrapped.' })
}

/** @param prove - Tells whose fault it is when material does not unwrap into host memory; that of the token when absent. */
function withSource<T>(
  token: LaneToken,
  unwrapping: Unwrapping,
  wrapped: Buffer,
  work: (source: MaterialSource) => T,
  prove?: () => void,
): T {
  const { name, way, privateKey, algorithm, modulusBytes } = unwrapping
  if (way === 'inside') {
    const make: MaterialSource['make'] = (template) =>
      unwrapInside(token, privateKey, algorithm, modulusBytes, wrapped, template)
    return work({ name, way, make })
  }
  const unwrap = () => unwrapOnHost(token, privateKey, algorithm, modulusBytes, wrapped)
  // A number that is not below the modulus is refused by the token, each in its own words.
  const material = prove ? openProven(token, unwrap, prove) : unwrap()
  try {
    const { values, spki } = materialKindOf(name.spec).read(name, material)
    const make: MaterialSource['make'] = (template) =>
      token.p11.C_CreateObject(token.session, [...template, ...values])
    return work({ name, way, make, ...(spki && { spki }) })
  } finally {
    material.fill(0)
  }
}

function openOrBlame<T>(token: LaneToken, work: () => T, prove: () => void): T {
  try {
    return openProven(token, work, prove)
  } catch (error) {
    if (!isUnsupported(error)) throw error
    token.discardSession()
    prove()
    throw unreadable(`${describeFault(toFault(error))}, and other material is taken.`)
  }
}

function wrapOnHost(algorithm: WrappingAlgorithm, spki: Buffer, material: Buffer): Buffer {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hashOf(algorithm) }
  if (!wrapsInTwoSteps(algorithm)) return publicEncrypt(options, material)
  const ephemeral = randomBytes(EPHEMERAL_BYTES)
  const cipher = createCipheriv('id-aes256-wrap-pad', ephemeral, KWP_IV)
  return Buffer.concat([publicEncrypt(options, ephemeral), cipher.update(material), cipher.final()])
}
