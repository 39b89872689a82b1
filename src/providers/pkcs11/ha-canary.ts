import { hash } from 'node:crypto'
import { isKmsError } from '../../core/errors.ts'
import type {
  CallOptions,
  CryptoProvider,
  MasterKeyRef,
  Sealed,
  SealMode,
} from '../../core/ports/crypto-provider.ts'
import type { TokenCapabilities } from './settings.ts'

/**
 * What one token sealed under a version, so that a copy of the version in another token can be proven to be the same: a
 * known text under the object that encrypts, and a data key, made and sealed inside, under the object that wraps.
 */
export interface VersionCanary {
  /** {@link sealWays} of the token that sealed. */
  readonly ways: SealWays
  readonly text: Sealed
  /** Absent where the token cannot make a data key inside. */
  readonly inside?: Sealed & {
    readonly mode: SealMode /** SHA-256 of the data key, hex. */
    readonly digest: string
  }
  /** What the primary opened of what the replica sealed in these ways; absent while that was not tried. */
  readonly replicaWays?: SealWays
}

/** How a token seals. What was sealed in a way that was proven opens again; another way is to be proven first. */
export interface SealWays {
  readonly text: string
  readonly inside?: string
}

const TEXT = Buffer.from('p11kms replica canary: same key.', 'latin1')
/** No AAD of an envelope begins like this, so that a canary never passes for a ciphertext blob of a caller. */
export const CANARY_DOMAIN = 'p11kms/replica-canary/v1'
const DATA_KEY_BYTES = 32

export function sealWays({ gcm, insideSealMode, keyWrap }: TokenCapabilities): SealWays {
  const inside = insideSealMode === 'W2' ? `W2 ${keyWrap?.format}` : insideSealMode
  return { text: gcm.ivSource, ...(inside !== undefined && { inside }) }
}

/** Seals a canary on a token, and opens it there. Two GCM invocations of `enc`, or one of each object. */
export async function makeCanary(
  provider: CryptoProvider,
  ways: SealWays,
  ref: MasterKeyRef,
  options: CallOptions,
): Promise<VersionCanary> {
  const text = await provider.seal(ref, TEXT, aadOf(ref, 'text'), options)
  if (ways.inside === undefined) return { ways, text }
  const sealed = await provider.sealRandomInside(ref, DATA_KEY_BYTES, (mode) => aadOf(ref, mode), options)
  const digest = await digestOf(provider, ref, sealed, options)
  return { ways, text, inside: { ...sealed, digest } }
}

/**
 * Whether a token opens a canary to what was sealed.
 *
 * @throws What the provider throws but for `CIPHERTEXT_INVALID`.
 */
export async function opensCanary(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  canary: Pick<VersionCanary, 'text' | 'inside'>,
  options: CallOptions,
): Promise<boolean> {
  try {
    const text = await provider.open(ref, 'W0', canary.text, aadOf(ref, 'text'), options)
    if (!text.equals(TEXT)) return false
    const { inside } = canary
    return inside === undefined || (await digestOf(provider, ref, inside, options)) === inside.digest
  } catch (error) {
    // A format that the token cannot unwrap is as good as another key: it opens nothing that was sealed so.
    if (isKmsError(error, 'CIPHERTEXT_INVALID') || isKmsError(error, 'UNSUPPORTED')) return false
    throw error
  }
}

async function digestOf(
  provider: CryptoProvider,
  ref: MasterKeyRef,
  sealed: Sealed & { readonly mode: SealMode },
  options: CallOptions,
): Promise<string> {
  const dataKey = await provider.open(ref, sealed.mode, sealed, aadOf(ref, sealed.mode), options)
  try {
    return hash('sha256', dataKey, 'hex')
  } finally {
    dataKey.fill(0)
  }
}

function aadOf(ref: MasterKeyRef, what: string): Buffer {
  return Buffer.from(`${CANARY_DOMAIN}\0${ref.versionId}\0${what}`, 'utf8')
}

/** As text, for the store. */
export function encodeCanary({ ways, text, inside, replicaWays }: VersionCanary): string {
  const kept = inside && { ...plain(inside), mode: inside.mode, digest: inside.digest }
  return JSON.stringify({ ways, text: plain(text), inside: kept, replicaWays })
}

/** Inverse of {@link encodeCanary}; `undefined` for anything else: such a canary proves nothing. */
export function parseCanary(encoded: string): VersionCanary | undefined {
  try {
    const { ways, text, inside, replicaWays } = JSON.parse(encoded) as Record<string, Fields>
    return {
      ways: waysOf(ways),
      text: sealedOf(text),
      ...(inside && {
        inside: { ...sealedOf(inside), mode: modeOf(inside), digest: textOf(inside, 'digest') },
      }),
      ...(replicaWays && { replicaWays: waysOf(replicaWays) }),
    }
  } catch {
    return undefined
  }
}

type Fields = Readonly<Record<string, unknown>> | undefined

function plain({ iv, ciphertext, tag }: Sealed) {
  const [a, b, c] = [iv, ciphertext, tag].map((bytes) => bytes.toString('base64'))
  return { iv: a, ciphertext: b, tag: c }
}

function sealedOf(fields: Fields): Sealed {
  const bytes = (name: string) => Buffer.from(textOf(fields, name), 'base64')
  return { iv: bytes('iv'), ciphertext: bytes('ciphertext'), tag: bytes('tag') }
}

function waysOf(fields: Fields): SealWays {
  const inside = fields?.['inside'] === undefined ? undefined : textOf(fields, 'inside')
  return { text: textOf(fields, 'text'), ...(inside !== undefined && { inside }) }
}

function modeOf(fields: Fields): SealMode {
  const mode = textOf(fields, 'mode')
  if (mode === 'W1' || mode === 'W2') return mode
  throw new TypeError('no mode of a data key that was made inside')
}

function textOf(fields: Fields, name: string): string {
  const value = fields?.[name]
  if (typeof value === 'string') return value
  throw new TypeError(`${name} is not text`)
}
