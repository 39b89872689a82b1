import { hash, randomUUID, verify } from 'node:crypto'
import {
  DecryptCommand,
  EncryptCommand,
  GetPublicKeyCommand,
  KMSClient,
  SignCommand,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kmsSdk, type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { call, VERSION_INTERVAL_MS } from '../support/kms-fixture.ts'
import { ALICE_ACS, alibabaFixture, faultOf, MALLORY_ACS } from './alibaba-fixture.ts'
import { ALICE_KEY } from './aws-fixture.ts'

const CLIENTS = Object.keys(sdkCalls('http://127.0.0.1:1', ALICE_ACS))
const EC = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
const RSA = { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' } as const
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const message = Buffer.from('message')
const Digest = hash('sha256', message, 'buffer').toString('base64')
const SIGN = { Algorithm: 'ECDSA_SHA_256', Digest }

const fixture = alibabaFixture()
const { rpc, kms, clock, versions } = fixture
let endpoint: string
beforeAll(async () => {
  // SDKs sign by the clock of this machine, which nobody moves.
  versions.intervalMs = 0
  endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => fixture.server.close())

const newPair = (input: Parameters<typeof kms.createKey>[1] = EC) => kms.createKey(call(), input)

/** The key as requests name it, by its first version and by its second. */
async function twoVersions(input: Parameters<typeof kms.createKey>[1] = EC) {
  const { keyId: KeyId, primaryVersionId } = await newPair(input)
  const { json } = await rpc('CreateKeyVersion', { KeyId })
  const { KeyVersionId } = json['KeyVersion'] as { KeyVersionId: string }
  return { first: { KeyId, KeyVersionId: primaryVersionId }, second: { KeyId, KeyVersionId } }
}

const isSigned = (publicKey: unknown, signature: unknown) =>
  verify('sha256', message, String(publicKey), Buffer.from(String(signature), 'base64'))

describe.each(CLIENTS)('%s', (name) => {
  let request: SdkCall
  beforeAll(() => {
    request = sdkCalls(endpoint, ALICE_ACS)[name] ?? expect.fail(name)
  })

  it('makes another version of a key pair, signs with each, and verifies with the right one alone', async () => {
    const { keyId: KeyId, primaryVersionId } = await newPair()
    const { KeyVersion } = await request('CreateKeyVersion', { KeyId })
    expect(KeyVersion).toEqual({
      KeyId,
      KeyVersionId: expect.stringMatching(/^[\da-f-]{36}$/),
      CreationDate: expect.stringMatching(UTC),
    })
    const { KeyVersionId } = KeyVersion as { KeyVersionId: string }
    expect(await request('ListKeyVersions', { KeyId })).toMatchObject({
      TotalCount: 2,
      KeyVersions: { KeyVersion: [{ KeyVersionId: primaryVersionId }, KeyVersion] },
    })
    expect(await request('DescribeKeyVersion', { KeyId, KeyVersionId })).toMatchObject({ KeyVersion })
    const named = [primaryVersionId, KeyVersionId].map((version) => ({ KeyId, KeyVersionId: version }))
    for (const own of named) {
      const { Value, ...signed } = await request('AsymmetricSign', { ...own, ...SIGN })
      expect(signed).toMatchObject(own)
      for (const other of named) {
        const check = { ...other, ...SIGN, Value: String(Value) }
        const told = { ...other, Value: own === other }
        expect(await request('AsymmetricVerify', check)).toMatchObject(told)
        const { PublicKey, ...key } = await request('GetPublicKey', other)
        expect(key).toMatchObject(other)
        expect(isSigned(PublicKey, Value)).toBe(own === other)
      }
    }
  })
})

describe('the typed client of KMS', () => {
  it('makes another version and uses it, for signatures and for encryption', async () => {
    const { client, requests } = kmsSdk(endpoint, ALICE_ACS)
    const { keyId } = await newPair()
    const made = await client.createKeyVersion(new requests.CreateKeyVersionRequest({ keyId }))
    const { keyVersionId } = made.keyVersion
    const sign = { keyId, keyVersionId, algorithm: SIGN.Algorithm, digest: Digest }
    const { value } = await client.asymmetricSign(new requests.AsymmetricSignRequest(sign))
    const key = await client.getPublicKey(new requests.GetPublicKeyRequest({ keyId, keyVersionId }))
    expect(isSigned(key.publicKey, value)).toBe(true)
    versions.intervalMs = VERSION_INTERVAL_MS
    await expect(
      client.createKeyVersion(new requests.CreateKeyVersionRequest({ keyId })),
    ).rejects.toMatchObject({ code: 'Rejected.UnsupportedOperationError' })
    versions.intervalMs = 0
    const { second } = await twoVersions(RSA)
    const cipher = {
      keyId: second.KeyId,
      keyVersionId: second.KeyVersionId,
      algorithm: 'RSAES_OAEP_SHA_256',
    }
    const sealed = await client.asymmetricEncrypt(
      new requests.AsymmetricEncryptRequest({ ...cipher, plaintext: 'eA==' }),
    )
    expect(sealed.keyVersionId).toBe(second.KeyVersionId)
    const opened = await client.asymmetricDecrypt(
      new requests.AsymmetricDecryptRequest({ ...cipher, ciphertextBlob: sealed.ciphertextBlob }),
    )
    expect(opened).toMatchObject({ plaintext: 'eA==', keyVersionId: second.KeyVersionId })
  })
})

describe('the versions of a key pair', () => {
  it('open each what was encrypted with it, and ReEncrypt with the one that it names', async () => {
    const { first, second } = await twoVersions(RSA)
    const Algorithm = 'RSAES_OAEP_SHA_256'
    const { json } = await rpc('AsymmetricEncrypt', { ...second, Algorithm, Plaintext: 'eA==' })
    expect(json).toMatchObject(second)
    const CiphertextBlob = String(json['CiphertextBlob'])
    const open = (named: typeof second) => rpc('AsymmetricDecrypt', { ...named, Algorithm, CiphertextBlob })
    expect((await open(second)).json).toMatchObject({ ...second, Plaintext: 'eA==' })
    expect((await open(first)).json['Code']).toBe('InvalidParameter')
    const { keyId: DestinationKeyId } = await fixture.newKey()
    const move = (version: Record<string, string>) =>
      rpc('ReEncrypt', {
        CiphertextBlob,
        SourceKeyId: second.KeyId,
        SourceEncryptionAlgorithm: Algorithm,
        DestinationKeyId,
        ...version,
      })
    const moved = await move({ SourceKeyVersionId: second.KeyVersionId })
    const back = await rpc('Decrypt', { CiphertextBlob: String(moved.json['CiphertextBlob']) })
    expect(back.json['Plaintext']).toBe('eA==')
    expect((await move({ SourceKeyVersionId: first.KeyVersionId })).json['Code']).toBe('InvalidParameter')
    // The initial one where none is named.
    expect((await move({})).json['Code']).toBe('InvalidParameter')
    expect((await move({ SourceKeyVersionId: randomUUID() })).json['Code']).toBe(
      'Forbidden.KeyVersionNotFound',
    )
  })

  it('are named in every request, and by no other key', async () => {
    const [{ second }, { first: other }] = [await twoVersions(), await twoVersions()]
    const foreign = { KeyId: second.KeyId, KeyVersionId: other.KeyVersionId }
    for (const [action, more] of [
      ['AsymmetricSign', SIGN],
      ['AsymmetricVerify', { ...SIGN, Value: 'AAAA' }],
      ['GetPublicKey', {}],
      ['DescribeKeyVersion', {}],
    ] as const) {
      expect(faultOf(await rpc(action, { KeyId: second.KeyId, ...more }))).toEqual([
        400,
        'MissingParameter',
        'The parameter "KeyVersionId" is needed but not provided.',
      ])
      expect(faultOf(await rpc(action, { ...foreign, ...more }))).toEqual([
        404,
        'Forbidden.KeyVersionNotFound',
        'The specified Key version is not found.',
      ])
    }
    expect((await rpc('AsymmetricSign', { ...second, ...SIGN, DryRun: 'true' })).json['Code']).toBe(
      'DryRunOperationError',
    )
    expect((await rpc('AsymmetricSign', { ...foreign, ...SIGN, DryRun: 'true' })).json['Code']).toBe(
      'Forbidden.KeyVersionNotFound',
    )
  })

  it('leave the metadata as they were but for when the last one was made', async () => {
    const { keyId: KeyId, primaryVersionId } = await newPair()
    clock.advance(VERSION_INTERVAL_MS)
    await rpc('CreateKeyVersion', { KeyId })
    const { json } = await rpc('DescribeKey', { KeyId })
    clock.advance(-VERSION_INTERVAL_MS)
    const metadata = json['KeyMetadata'] as Record<string, string>
    expect(metadata['PrimaryKeyVersion']).toBe(primaryVersionId)
    const [made, last] = [metadata['CreationDate'], metadata['LastRotationDate']].map((text) =>
      Date.parse(text ?? ''),
    )
    expect((last ?? 0) - (made ?? 0)).toBeGreaterThanOrEqual(VERSION_INTERVAL_MS - 1_000)
    expect(metadata['AutomaticRotation']).toBe('Disabled')
  })

  it('are nothing that the AWS API sees: it goes on with the initial one', async () => {
    const credentials = { ...ALICE_KEY }
    const aws = new KMSClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 })
    const { keyId: KeyId, primaryVersionId } = await newPair()
    const before = await aws.send(new GetPublicKeyCommand({ KeyId }))
    const { json } = await rpc('CreateKeyVersion', { KeyId })
    const { KeyVersionId = '' } = json['KeyVersion'] as Record<string, string>
    const after = await aws.send(new GetPublicKeyCommand({ KeyId }))
    expect(Buffer.from(after.PublicKey ?? [])).toEqual(Buffer.from(before.PublicKey ?? []))
    const input = { KeyId, Message: message, SigningAlgorithm: 'ECDSA_SHA_256' } as const
    const { Signature } = await aws.send(new SignCommand(input))
    const Value = Buffer.from(Signature ?? []).toString('base64')
    const initial = { KeyId, KeyVersionId: primaryVersionId, ...SIGN }
    expect((await rpc('AsymmetricVerify', { ...initial, Value })).json['Value']).toBe(true)
    const bySecond = await rpc('AsymmetricSign', { KeyId, KeyVersionId, ...SIGN })
    await expect(
      aws.send(
        new VerifyCommand({ ...input, Signature: Buffer.from(String(bySecond.json['Value']), 'base64') }),
      ),
    ).rejects.toMatchObject({ name: 'KMSInvalidSignatureException' })
    const { first, second } = await twoVersions(RSA)
    const cipher = { KeyId: first.KeyId, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const
    const sealed = await aws.send(new EncryptCommand({ ...cipher, Plaintext: message }))
    const opened = await rpc('AsymmetricDecrypt', {
      ...first,
      Algorithm: 'RSAES_OAEP_SHA_256',
      CiphertextBlob: Buffer.from(sealed.CiphertextBlob ?? []).toString('base64'),
    })
    expect(opened.json['Plaintext']).toBe(message.toString('base64'))
    const theirs = await rpc('AsymmetricEncrypt', {
      ...second,
      Algorithm: 'RSAES_OAEP_SHA_256',
      Plaintext: 'eA==',
    })
    const CiphertextBlob = Buffer.from(String(theirs.json['CiphertextBlob']), 'base64')
    await expect(aws.send(new DecryptCommand({ ...cipher, CiphertextBlob }))).rejects.toMatchObject({
      name: 'InvalidCiphertextException',
    })
    aws.destroy()
  })
})

describe('CreateKeyVersion', () => {
  const UNSUPPORTED = [400, 'Rejected.UnsupportedOperation']
  const codeOf = async (parameters: Record<string, string>, options = {}) => {
    const { status, json } = await rpc('CreateKeyVersion', parameters, options)
    return [status, json['Code']]
  }

  it('tells from when on a key may have another version', async () => {
    const { first } = await twoVersions()
    const { json } = await rpc('DescribeKey', { KeyId: first.KeyId })
    const { LastRotationDate = '' } = json['KeyMetadata'] as Record<string, string>
    versions.intervalMs = VERSION_INTERVAL_MS
    const [status, code, text] = faultOf(await rpc('CreateKeyVersion', { KeyId: first.KeyId }))
    versions.intervalMs = 0
    expect([status, code]).toEqual(UNSUPPORTED)
    const told = /^Unsupported operation\. The next version of the key can be made from (.+) on\.$/
    const from = told.exec(String(text))?.[1] ?? ''
    expect(from).toMatch(UTC)
    const waitMs = Date.parse(from) - Date.parse(LastRotationDate)
    // Both are told in whole seconds.
    expect([0, 1_000]).toContain(waitMs - VERSION_INTERVAL_MS)
  })

  it('is of key pairs that are enabled, and made here', async () => {
    const { keyId } = await fixture.newKey()
    expect(await codeOf({ KeyId: keyId })).toEqual(UNSUPPORTED)
    const mac = await newPair({ spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' })
    expect(await codeOf({ KeyId: mac.keyId })).toEqual(UNSUPPORTED)
    const { keyId: KeyId } = await newPair()
    await kms.disableKey(call(), KeyId)
    expect(faultOf(await rpc('CreateKeyVersion', { KeyId }))).toEqual([
      409,
      'Rejected.Disabled',
      'The request was rejected because the key state is Disabled.',
    ])
    await kms.scheduleKeyDeletion(call(), KeyId, 7)
    expect(await codeOf({ KeyId })).toEqual([409, 'Rejected.PendingDeletion'])
    const blank = await kms.createKey(call(), { origin: 'EXTERNAL' })
    expect(await codeOf({ KeyId: blank.keyId })).toEqual([409, 'Rejected.PendingImport'])
  })

  it("takes an alias, and no other account's key", async () => {
    const { keyId } = await newPair()
    await kms.createAlias(call(), 'alias/signing', { kind: 'id', keyId })
    expect(await codeOf({ KeyId: keyId }, { credential: MALLORY_ACS })).toEqual([
      404,
      'Forbidden.KeyNotFound',
    ])
    expect(await codeOf({})).toEqual([400, 'MissingParameter'])
    expect(await codeOf({ KeyId: 'alias/none' })).toEqual([404, 'Forbidden.AliasNotFound'])
    const { json } = await rpc('CreateKeyVersion', { KeyId: 'alias/signing' })
    expect(json['KeyVersion']).toMatchObject({ KeyId: keyId })
  })

  it('waits for the pair that the token makes', async () => {
    const { provider } = fixture
    const create = provider.createMasterKey.bind(provider)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const { keyId: KeyId } = await newPair()
    provider.createMasterKey = async (ref, options) => {
      begin()
      await held
      return create(ref, options)
    }
    const first = rpc('CreateKey', { KeySpec: 'EC_P256' })
    await begun
    const second = rpc('CreateKeyVersion', { KeyId })
    const { promise: sooner, resolve: look } = Promise.withResolvers<'waits'>()
    setTimeout(() => look('waits'), 200)
    expect(await Promise.race([second, sooner])).toBe('waits')
    release()
    expect([(await first).status, (await second).status]).toEqual([200, 200])
    provider.createMasterKey = create
  })
})
