import { createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import type { AwsFixture, WireAnswer } from './aws-fixture.ts'

export type Values = Readonly<Record<string, unknown>>
export interface RecordedCase {
  /** The operation that answers it, and those without which it cannot come about. */
  readonly needs: readonly string[]
  readonly make: (fixture: AwsFixture) => Promise<WireAnswer>
}

export const ABSENT = '00000000-0000-4000-8000-000000000000'
export const B64 = 'QUJD'
const DIGEST_SHORT = Buffer.alloc(5).toString('base64')

export async function ok(fixture: AwsFixture, operation: string, input: object = {}): Promise<Values> {
  const answer = await fixture.request(operation, input)
  if (answer.status !== 200) throw new Error(`${operation}: ${answer.text}`)
  return answer.json
}

export async function newKey(fixture: AwsFixture, input: object = {}): Promise<string> {
  const { KeyMetadata } = await ok(fixture, 'CreateKey', input)
  return String((KeyMetadata as Values)['KeyId'])
}

/** One request that needs nothing before it. */
export function request(operation: string, input: object, needs: readonly string[] = []): RecordedCase {
  return { needs: [operation, ...needs], make: (fixture) => fixture.request(operation, input) }
}

/** One request about a new key, `{ KeyId, … }`. */
export function onKey(
  operation: string,
  create: object,
  input: object,
  needs: readonly string[] = [],
): RecordedCase {
  return {
    needs: [operation, ...needs],
    make: async (fixture) => fixture.request(operation, { KeyId: await newKey(fixture, create), ...input }),
  }
}

export const RSA_ENCRYPTING = (KeySpec: string) => ({ KeySpec, KeyUsage: 'ENCRYPT_DECRYPT' })
export const SIGNING = (KeySpec: string) => ({ KeySpec, KeyUsage: 'SIGN_VERIFY' })
export const MAC = (KeySpec: string) => ({ KeySpec, KeyUsage: 'GENERATE_VERIFY_MAC' })
export const AGREEING = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' }
export const EXTERNAL = { Origin: 'EXTERNAL' }
export const TAG = (TagKey: string, TagValue = '') => ({ TagKey, TagValue })
export const AGREE = { KeyAgreementAlgorithm: 'ECDH', PublicKey: B64 }

export const digest = (KeySpec: string, SigningAlgorithm: string): RecordedCase =>
  onKey('Sign', SIGNING(KeySpec), { SigningAlgorithm, MessageType: 'DIGEST', Message: DIGEST_SHORT })

export const oaep = (KeySpec: string, hash: 'SHA_1' | 'SHA_256', max: number): RecordedCase => {
  const Plaintext = Buffer.alloc(max + 1).toString('base64')
  const input = { Plaintext, EncryptionAlgorithm: `RSAES_OAEP_${hash}` }
  return onKey('Encrypt', RSA_ENCRYPTING(KeySpec), input, ['GetPublicKey'])
}

/** Wraps material for the key as its import parameters say, and imports it as `input` says. */
export async function importInto(fixture: AwsFixture, KeyId: string, input: object): Promise<WireAnswer> {
  const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
  const { ImportToken, PublicKey } = await ok(fixture, 'GetParametersForImport', { KeyId, ...wrapping })
  const der = Buffer.from(String(PublicKey), 'base64')
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
  const wrapped = publicEncrypt({ key, oaepHash: 'sha256' }, randomBytes(32))
  const EncryptedKeyMaterial = wrapped.toString('base64')
  const forEver = { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
  return fixture.request('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial,
    ...forEver,
    ...input,
  })
}
