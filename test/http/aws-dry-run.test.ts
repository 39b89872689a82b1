import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { beforeAll, describe, expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture, MALLORY_KEY } from './aws-fixture.ts'

const DRY_RUN = 'DryRunOperationException'
const PASSED = {
  __type: DRY_RUN,
  message: 'The request would have succeeded, but the DryRun option is set.',
}
const B64 = 'QUJD'
const GRANTEE = `arn:aws:iam::${ALICE.accountId}:user/bob`
const IGNORE = { DryRunModifiers: ['IGNORE_CIPHERTEXT'] }

let fixture: AwsFixture
let key: string
let other: string
let blob: string
let signing: string
let macKey: string
let agreement: string
let signature: string
let mac: string
let publicKey: string
let grant: { readonly GrantId: string; readonly GrantToken: string }

async function ok<Answer>(operation: string, input: object): Promise<Answer> {
  const answer = await fixture.request(operation, input)
  expect(answer, answer.text).toMatchObject({ status: 200 })
  return answer.json as Answer
}

async function otherKey(KeySpec: string, KeyUsage: string): Promise<string> {
  const made = await ok<{ KeyMetadata: { KeyId: string } }>('CreateKey', { KeySpec, KeyUsage })
  return made.KeyMetadata.KeyId
}

const SIGNED = { Message: B64, SigningAlgorithm: 'ECDSA_SHA_256' }
const MACED = { Message: B64, MacAlgorithm: 'HMAC_SHA_256' }

beforeAll(async () => {
  fixture = awsFixture()
  key = (await fixture.newKey()).keyId
  other = (await fixture.newKey()).keyId
  const sealed = await ok<{ CiphertextBlob: string }>('Encrypt', { KeyId: key, Plaintext: B64 })
  blob = sealed.CiphertextBlob
  signing = await otherKey('ECC_NIST_P256', 'SIGN_VERIFY')
  macKey = await otherKey('HMAC_256', 'GENERATE_VERIFY_MAC')
  agreement = await otherKey('ECC_NIST_P256', 'KEY_AGREEMENT')
  const signed = await ok<{ Signature: string }>('Sign', { KeyId: signing, ...SIGNED })
  signature = signed.Signature
  mac = (await ok<{ Mac: string }>('GenerateMac', { KeyId: macKey, ...MACED })).Mac
  publicKey = (await ok<{ PublicKey: string }>('GetPublicKey', { KeyId: signing })).PublicKey
  grant = await ok('CreateGrant', { KeyId: key, GranteePrincipal: GRANTEE, Operations: ['Decrypt'] })
})

/** Input of each operation that has a dry run, for it to succeed. */
const INPUTS: Readonly<Record<string, () => Readonly<Record<string, unknown>>>> = {
  Encrypt: () => ({ KeyId: key, Plaintext: B64 }),
  Decrypt: () => ({ CiphertextBlob: blob }),
  ReEncrypt: () => ({ CiphertextBlob: blob, DestinationKeyId: other }),
  GenerateDataKey: () => ({ KeyId: key, KeySpec: 'AES_256' }),
  GenerateDataKeyWithoutPlaintext: () => ({ KeyId: key, KeySpec: 'AES_256' }),
  GenerateDataKeyPair: () => ({ KeyId: key, KeyPairSpec: 'ECC_NIST_P256' }),
  GenerateDataKeyPairWithoutPlaintext: () => ({ KeyId: key, KeyPairSpec: 'ECC_NIST_P256' }),
  Sign: () => ({ KeyId: signing, ...SIGNED }),
  Verify: () => ({ KeyId: signing, ...SIGNED, Signature: signature }),
  GenerateMac: () => ({ KeyId: macKey, ...MACED }),
  VerifyMac: () => ({ KeyId: macKey, ...MACED, Mac: mac }),
  DeriveSharedSecret: () => ({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey: publicKey }),
  CreateGrant: () => ({ KeyId: key, GranteePrincipal: GRANTEE, Operations: ['Encrypt'], Name: 'dry' }),
  RetireGrant: () => ({ GrantToken: grant.GrantToken }),
  RevokeGrant: () => ({ KeyId: key, GrantId: grant.GrantId }),
}
const DRY = Object.entries(INPUTS)

/** Notes every call of a port that asks a token, counts an invocation or writes. */
function watchPorts(): string[] {
  const called: string[] = []
  const watch = (port: object, name: string, method: string) => {
    const real = Reflect.get(port, method) as (...args: unknown[]) => unknown
    Reflect.set(port, method, (...args: unknown[]) => {
      called.push(`${name}.${method}`)
      return Reflect.apply(real, port, args)
    })
  }
  const methods = (port: object) => [
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(port)),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(port))),
  ]
  for (const method of methods(fixture.provider))
    if (method in fixture.provider && !/^(constructor|__|has|is|to|value|prop)/.test(method))
      watch(fixture.provider, 'provider', method)
  for (const method of methods(fixture.store))
    if (/^(create|put|replace|update|delete|remove|lease)/.test(method)) watch(fixture.store, 'store', method)
  return called
}

describe('a dry run', () => {
  it.each(DRY)(
    'of %s that would succeed says so, and asks no token, counts and writes nothing',
    async (operation, input) => {
      const called = watchPorts()
      const dry = await fixture.request(operation, { ...input(), DryRun: true })
      expect(dry.status).toBe(400)
      expect(dry.json).toEqual(PASSED)
      expect(called).toEqual([])
      const listed = await ok<{ Grants: object[] }>('ListGrants', { KeyId: key })
      expect(listed.Grants).toHaveLength(1)
    },
  )

  it('sees the calls that it is seen to leave out', async () => {
    const called = watchPorts()
    await ok('Encrypt', { KeyId: key, Plaintext: B64, DryRun: false })
    await ok('TagResource', { KeyId: key, Tags: [{ TagKey: 'a', TagValue: '' }] })
    expect(called).toEqual(expect.arrayContaining(['provider.seal', 'store.putTags']))
  })

  it('is there for every operation of the model that has it and works today', async () => {
    const models = createRequire(import.meta.url)
      .resolve('@aws-sdk/client-kms')
      .replace(/dist-cjs.*/, 'dist-types/models/models_0.d.ts')
    const text = readFileSync(models, 'utf8')
    const requests = text.matchAll(/export interface (\w+)Request \{[^}]*?\n {4}DryRun\?/gs)
    const have = [...requests].map(([, name]) => name ?? '').filter((name) => AWS_OPERATIONS.has(name))
    // No key of this service encapsulates.
    const never = ['Decapsulate', 'Encapsulate']
    expect(have.toSorted()).toEqual([...DRY.map(([name]) => name), ...never].toSorted())
  })

  it.each(DRY)('of %s is refused as the call itself would be', async (operation, input) => {
    const owned = await fixture.request(operation, { ...input(), DryRun: true }, { credential: MALLORY_KEY })
    expect(owned.json['__type']).toMatch(
      /^(NotFoundException|AccessDeniedException|InvalidGrantTokenException)$/,
    )
    const named = { ...input(), DryRun: true, GrantTokens: ['x'] }
    const answer = await fixture.request(operation, named)
    const takesTokens = !/^(Retire|Revoke)Grant$/.test(operation)
    expect(answer.json['__type']).toBe(takesTokens ? 'InvalidGrantTokenException' : DRY_RUN)
  })

  it.each(DRY.filter(([name]) => !/^(Retire|Revoke)Grant$/.test(name)))(
    'of %s sees a disabled key',
    async (operation, input) => {
      const { KeyId = key } = input() as { KeyId?: string }
      await ok('DisableKey', { KeyId })
      const answer = await fixture.request(operation, { ...input(), DryRun: true })
      await ok('EnableKey', { KeyId })
      expect(answer.json['__type']).toBe('DisabledException')
    },
  )

  it('of ReEncrypt sees to the destination as well', async () => {
    const dry = { CiphertextBlob: blob, DestinationKeyId: other, DryRun: true }
    await ok('DisableKey', { KeyId: other })
    expect((await fixture.request('ReEncrypt', dry)).json['__type']).toBe('DisabledException')
    await ok('EnableKey', { KeyId: other })
    const unfit = { ...dry, DestinationEncryptionContext: { a: '\ud800' } }
    expect((await fixture.request('ReEncrypt', unfit)).json['__type']).toBe('ValidationException')
  })

  it('of Decrypt sees what is no ciphertext of ours, and that it is another key’s', async () => {
    const bad = await fixture.request('Decrypt', { CiphertextBlob: B64, DryRun: true })
    expect(bad.json['__type']).toBe('InvalidCiphertextException')
    const mismatch = { CiphertextBlob: blob, KeyId: other, DryRun: true }
    expect((await fixture.request('Decrypt', mismatch)).json['__type']).toBe('IncorrectKeyException')
  })
})

describe('a dry run without a ciphertext', () => {
  it('asks of the key alone', async () => {
    const decrypt = { KeyId: key, DryRun: true, ...IGNORE }
    expect((await fixture.request('Decrypt', decrypt)).json).toEqual(PASSED)
    expect((await fixture.request('Decrypt', { ...decrypt, CiphertextBlob: B64 })).json).toEqual(PASSED)
    const reEncrypt = { SourceKeyId: key, DestinationKeyId: other, DryRun: true, ...IGNORE }
    expect((await fixture.request('ReEncrypt', reEncrypt)).json).toEqual(PASSED)
    await ok('DisableKey', { KeyId: key })
    for (const [operation, input] of [
      ['Decrypt', decrypt],
      ['ReEncrypt', reEncrypt],
    ] as const)
      expect((await fixture.request(operation, input)).json['__type']).toBe('DisabledException')
    await ok('EnableKey', { KeyId: key })
  })

  it.each([
    ['Decrypt', { DryRun: true, ...IGNORE }, "'keyId'"],
    ['ReEncrypt', { DryRun: true, ...IGNORE, DestinationKeyId: 'x' }, "'sourceKeyId'"],
    ['Decrypt', { KeyId: 'x', DryRun: true }, "'ciphertextBlob'"],
    ['Decrypt', { KeyId: 'x', ...IGNORE }, "'ciphertextBlob'"],
    ['ReEncrypt', { DestinationKeyId: 'x', DryRun: false, ...IGNORE }, "'ciphertextBlob'"],
    ['Decrypt', { KeyId: 'x', DryRun: true, DryRunModifiers: [] }, "'ciphertextBlob'"],
    ['Decrypt', { CiphertextBlob: B64, DryRunModifiers: ['OTHER'] }, "'dryRunModifiers.1.member'"],
  ])('%s %j lacks a member', async (operation, input, member) => {
    const { json } = await fixture.request(operation, input)
    expect(json).toMatchObject({ __type: 'ValidationException', message: expect.stringContaining(member) })
  })

  it('is no call: modifiers without a dry run leave the operation what it is', async () => {
    expect(await ok('Decrypt', { CiphertextBlob: blob, ...IGNORE })).toMatchObject({ Plaintext: B64 })
  })
})
