import { isAliasName } from '../../../core/alias.ts'
import type { CallerAad } from '../../../core/caller-aad.ts'
import type { PrivateKeyPresentation } from '../../../core/envelope/payload-form.ts'
import { KmsError } from '../../../core/errors.ts'
import { isKeyId, type KeyIdentifier } from '../../../core/key.ts'
import type { KeyPairSpec } from '../../../core/key-pair-spec.ts'
import { InstanceFault, invalidParameter, unsupported } from './fault.ts'

/** What fields of several operations mean, and their limits. */

export const AES_GCM = 'AES_GCM'

/** Most bytes of a data key and of random bytes; the protocol's documentation names no bound, the OpenAPI's has this one. */
const GENERATED_BYTES_MAX = 1024
const PLAINTEXT_BYTES_MAX = 6144
const AAD_BYTES_MAX = 8192
const IV_BYTES = 12
const ALIAS_PREFIX = 'alias/'

/** Algorithms of asymmetric keys, by the names that the core has as well. */
const OAEP_ALGORITHMS: ReadonlySet<string> = new Set(['RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1'])
const SM2 = 'SM2PKE'

/** Modes and ciphers of the real service that this one leaves out: docs/divergences/alibaba.md. */
const LEFT_OUT_ALGORITHMS: ReadonlySet<string> = new Set([
  'AES_CBC',
  'AES_ECB',
  'SM4_CBC',
  'SM4_ECB',
  'SM4_GCM',
  SM2,
])

const PAIR_SPECS: ReadonlyMap<string, KeyPairSpec> = new Map([
  ['RSA_2048', 'RSA_2048'],
  ['RSA_3072', 'RSA_3072'],
  ['RSA_4096', 'RSA_4096'],
  ['EC_P256', 'EC_P256'],
  ['EC_P256K', 'EC_SECP256K1'],
])

const KEY_FORMATS: ReadonlyMap<string, PrivateKeyPresentation> = new Map([
  ['PEM', 'pkcs8-pem'],
  ['DER', 'pkcs8-der'],
])

/**
 * A key id or the full name of an alias.
 *
 * @throws {@link InstanceFault} `MissingParameter`; {@link KmsError} `KEY_ID_INVALID`, `ALIAS_NOT_FOUND`.
 */
export function requireKeyId(text: string): KeyIdentifier {
  if (text === '') throw missing('KeyId')
  if (!text.startsWith(ALIAS_PREFIX)) {
    if (isKeyId(text)) return { kind: 'id', keyId: text }
    throw new KmsError('KEY_ID_INVALID', 'There is no such key id.', { keyId: '' })
  }
  if (isAliasName(text)) return { kind: 'alias', alias: text }
  throw new KmsError('ALIAS_NOT_FOUND', 'There is no such alias.', { alias: '' })
}

/** @throws {@link InstanceFault} `UnsupportedOperation` for another mode of the real service, `InvalidParameter`. */
export function requireGcm(algorithm: string): void {
  if (algorithm === '' || algorithm === AES_GCM) return
  throw LEFT_OUT_ALGORITHMS.has(algorithm) ? unsupported() : invalidParameter()
}

/** Whether an algorithm is of asymmetric keys. */
export function isOaep(algorithm: string): boolean {
  return OAEP_ALGORITHMS.has(algorithm)
}

/** Padding is of modes that are left out: in GCM there is none. */
export function requireNoPadding(mode: string): void {
  if (mode !== '' && mode !== 'NO_PADDING') throw unsupported()
}

export function requirePlaintext(bytes: Buffer): Buffer {
  if (bytes.length === 0) throw missing('Plaintext')
  if (bytes.length > PLAINTEXT_BYTES_MAX) throw invalidParameter()
  return bytes
}

export function toCallerAad(bytes: Buffer): CallerAad {
  if (bytes.length > AAD_BYTES_MAX) throw invalidParameter()
  return { kind: 'bytes', bytes }
}

/** The IV of a caller that chooses one; `undefined` when it leaves that to the service. */
export function toChosenIv(bytes: Buffer): Buffer | undefined {
  if (bytes.length === 0) return undefined
  if (bytes.length !== IV_BYTES) throw invalidParameter()
  return bytes
}

export function requireLength(name: string, bytes: number): number {
  if (bytes === 0) throw missing(name)
  if (bytes < 0 || bytes > GENERATED_BYTES_MAX) throw invalidParameter()
  return bytes
}

export function requirePairSpec(name: string): KeyPairSpec {
  if (name === '') throw missing('KeyPairSpec')
  const spec = PAIR_SPECS.get(name)
  if (!spec) throw invalidParameter()
  return spec
}

export function requireKeyFormat(name: string): PrivateKeyPresentation {
  if (name === '') throw missing('KeyFormat')
  const presentation = KEY_FORMATS.get(name)
  if (!presentation) throw invalidParameter()
  return presentation
}

export function missing(name: string): InstanceFault {
  return new InstanceFault('MissingParameter', 400, `The parameter "${name}" is needed but not provided.`)
}
