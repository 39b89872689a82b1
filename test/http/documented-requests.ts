import { generateKeyPairSync } from 'node:crypto'
import { ALICE } from '../support/kms-fixture.ts'
import type { AwsFixture } from './aws-fixture.ts'
import { prepareKeyRequest } from './key-requests.ts'
import { ok } from './recorded-case.ts'

const ALICE_USER = `arn:aws:iam::${ALICE.accountId}:user/a`

/** Requests that name no key. */
const WITHOUT_KEY: Readonly<Record<string, object>> = {
  CreateKey: {},
  GenerateRandom: { NumberOfBytes: 16 },
  ListKeys: {},
  ListRetirableGrants: { RetiringPrincipal: ALICE_USER },
}

export interface PreparedRequest {
  /** The operation that is asked. */
  readonly operation: string
  /** Of the key that it is about; empty where there is none. */
  readonly keyId: string
  /** A request that is answered, in the members of the wire. */
  readonly input: Readonly<Record<string, unknown>>
}

/** A request that is answered with success: what an error is brought about from. */
export async function prepareDocumentedRequest(
  fixture: AwsFixture,
  operation: string,
): Promise<PreparedRequest> {
  const bare = WITHOUT_KEY[operation]
  if (bare) return { operation, keyId: '', input: { ...bare } }
  const imported = ['DeleteImportedKeyMaterial', 'ImportKeyMaterial'].includes(operation)
  const { keyId, input } = await prepareKeyRequest(fixture, operation, false, imported)
  return { operation, keyId, input: { ...input, ...(await madeMembers(fixture, operation, keyId)) } }
}

/** Members that have to be made: those of what was there before, signed or granted. */
async function madeMembers(fixture: AwsFixture, operation: string, KeyId: string): Promise<object> {
  if (operation === 'DeriveSharedSecret') return { PublicKey: peerKey() }
  if (operation === 'Verify') {
    const message = { KeyId, Message: 'QUJD', SigningAlgorithm: 'ECDSA_SHA_256' }
    const { Signature } = await ok(fixture, 'Sign', message)
    return { Signature }
  }
  if (operation === 'VerifyMac') {
    const { Mac } = await ok(fixture, 'GenerateMac', { KeyId, Message: 'QUJD', MacAlgorithm: 'HMAC_SHA_256' })
    return { Mac }
  }
  if (operation === 'RetireGrant' || operation === 'RevokeGrant') {
    const grant = { KeyId, GranteePrincipal: ALICE_USER, Operations: ['Encrypt'] }
    const { GrantId } = await ok(fixture, 'CreateGrant', grant)
    return { GrantId }
  }
  if (operation === 'ImportKeyMaterial') return importMembers(fixture, KeyId)
  return {}
}

/** Of an import of material that is not there yet: whatever it is made for refuses it. */
export async function importMembers(fixture: AwsFixture, KeyId: string): Promise<Record<string, unknown>> {
  const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' }
  const { ImportToken } = await ok(fixture, 'GetParametersForImport', { KeyId, ...wrapping })
  const EncryptedKeyMaterial = Buffer.alloc(256, 1).toString('base64')
  return { ImportToken, EncryptedKeyMaterial, ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
}

function peerKey(): string {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
}
