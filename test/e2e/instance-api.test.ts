import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  type KeySpec,
  type KeyUsageType,
  VerifyCommand,
} from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { sdkCalls } from '../support/alibaba-clients.ts'
import { type DkmsAnswer, DkmsClient, type Fields, httpTransport } from '../support/dkms-client.ts'
import { preparedHome, removeHome, type Service, sdkClient, startService } from '../support/gateway.ts'
import { openPkcs12 } from '../support/pkcs12.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
/** One client per signature; the others are held to all of the OpenAPI elsewhere. */
const CLIENTS = ['pop-core GET', 'openapi-client V3 body']
const clientKeyId = `KAAP.${randomUUID()}`
const Plaintext = Buffer.from('a secret of the caller')
const Aad = Buffer.from('what is bound')

let service: Service
let client: DkmsClient
let KeyId: string
beforeAll(async () => {
  const home = await preparedHome()
  writeFileSync(join(home, 'client.pem'), publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o600 })
  const file = join(home, 'config.yaml')
  const config = parse(readFileSync(file, 'utf8')) as { accounts: { clientKeys?: object[] }[] }
  for (const account of config.accounts) account.clientKeys = [{ clientKeyId, publicKeyFile: 'client.pem' }]
  writeFileSync(file, stringify(config))
  // Two workers: a pair is one at a time over both.
  const environment = { P11KMS_LOG_LEVEL: 'info', P11KMS_KEYS_KEY_VERSION_INTERVAL_DAYS: '0' }
  service = await startService({ home, workers: 2, environment })
  client = new DkmsClient({ clientKeyId, privateKey }, httpTransport(service.endpoint))
  KeyId = service.env['P11KMS_KEY_ID'] ?? ''
})
afterAll(async () => {
  await service.stop()
  removeHome(service.home)
})

const credential = () => ({
  accessKeyId: service.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
  accessKeySecret: service.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
})
const ok = async (api: string, fields: Fields, options = {}): Promise<DkmsAnswer> => {
  const answer = await client.call(api, fields, options)
  expect(answer, JSON.stringify(answer.text)).toMatchObject({ status: 200 })
  return answer
}

describe('the instance API on SoftHSM', () => {
  it('seals and opens', async () => {
    const plain = (await ok('Encrypt', { KeyId, Plaintext, Aad })).bytes
    const { CiphertextBlob, Iv } = plain
    expect(
      (await ok('Decrypt', { KeyId: 'alias/demo', CiphertextBlob, Iv, Aad })).bytes['Plaintext'],
    ).toEqual(Plaintext)
    const wanted = Buffer.alloc(12, 3)
    const chosen = (await ok('Encrypt', { KeyId, Plaintext, Iv: wanted })).bytes
    expect(chosen['Iv']).toEqual(wanted)
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob: chosen['CiphertextBlob'], Iv: wanted })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    const longest = Buffer.alloc(6144, 7)
    const advance = (await ok('AdvanceEncrypt', { KeyId, Plaintext: longest, Aad })).bytes
    const back = await ok('AdvanceDecrypt', { CiphertextBlob: advance['CiphertextBlob'], Aad })
    expect(back.bytes['Plaintext']).toEqual(longest)
    expect((await ok('GenerateRandom', { Length: 1024 })).bytes['Random']).toHaveLength(1024)
    const dataKey = (await ok('AdvanceGenerateDataKey', { KeyId, NumberOfBytes: 1024 })).bytes
    const key = await ok('AdvanceDecrypt', { CiphertextBlob: dataKey['CiphertextBlob'] })
    expect(key.bytes['Plaintext']).toEqual(dataKey['Plaintext'])
    const wrong = await client.call('AdvanceDecrypt', { CiphertextBlob: advance['CiphertextBlob'] })
    expect([wrong.status, wrong.text['ErrorCode']]).toEqual([400, 'InvalidParameter'])
  })

  it('shares keys and ciphertexts with the AWS KMS API', async () => {
    const aws = sdkClient(service.env)
    const advance = (await ok('AdvanceEncrypt', { KeyId, Plaintext })).bytes['CiphertextBlob']
    const opened = await aws.send(new DecryptCommand({ CiphertextBlob: advance }))
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Plaintext)
    const sealed = await aws.send(new EncryptCommand({ KeyId, Plaintext }))
    const CiphertextBlob = Buffer.from(sealed.CiphertextBlob ?? [])
    expect((await ok('AdvanceDecrypt', { CiphertextBlob })).bytes['Plaintext']).toEqual(Plaintext)
    aws.destroy()
  })

  it.each(['RSA_2048', 'RSA_3072', 'RSA_4096', 'EC_P256', 'EC_P256K'])(
    'makes key pairs of %s that Node reads, signs and verifies with',
    async (KeyPairSpec) => {
      for (const KeyFormat of ['PEM', 'DER']) {
        for (const WithoutPlaintext of ['', 'WithoutPlaintext']) {
          const pair = { KeyId, KeyPairSpec, KeyFormat, Aad }
          const plain = (await ok(`GenerateDataKeyPair${WithoutPlaintext}`, pair)).bytes
          const { PrivateKeyCiphertextBlob: CiphertextBlob, Iv } = plain
          const opened = (await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })).bytes['Plaintext']
          if (!WithoutPlaintext) expect(opened).toEqual(plain['PrivateKeyPlaintext'])
          expectPair(KeyFormat, plain['PublicKey'], opened)
          const advance = (await ok(`AdvanceGenerateDataKeyPair${WithoutPlaintext}`, pair)).bytes
          const sealed = { CiphertextBlob: advance['PrivateKeyCiphertextBlob'], Aad }
          const again = (await ok('AdvanceDecrypt', sealed)).bytes['Plaintext']
          if (!WithoutPlaintext) expect(again).toEqual(advance['PrivateKeyPlaintext'])
          expectPair(KeyFormat, advance['PublicKey'], again)
        }
      }
    },
  )

  it('signs, and encrypts with RSA, under keys that the AWS KMS API made', async () => {
    const aws = sdkClient(service.env)
    const made = async (KeySpec: KeySpec, KeyUsage: KeyUsageType) =>
      (await aws.send(new CreateKeyCommand({ KeySpec, KeyUsage }))).KeyMetadata?.KeyId ?? ''
    const signing = await made('ECC_NIST_P256', 'SIGN_VERIFY')
    const { Signature } = (
      await ok('Sign', { KeyId: signing, Message: Plaintext, Algorithm: 'ECDSA_SHA_256' })
    ).bytes
    const command = new VerifyCommand({
      KeyId: signing,
      Message: Plaintext,
      Signature,
      SigningAlgorithm: 'ECDSA_SHA_256',
    })
    expect((await aws.send(command)).SignatureValid).toBe(true)
    expect((await ok('Verify', { KeyId: signing, Message: Plaintext, Signature })).text['Value']).toBe('true')
    const pem = (await ok('GetPublicKey', { KeyId: signing })).text['PublicKey'] ?? ''
    expect(verify('sha256', Plaintext, pem, Signature ?? Buffer.alloc(0))).toBe(true)
    const rsa = await made('RSA_2048', 'ENCRYPT_DECRYPT')
    const { CiphertextBlob } = (await ok('Encrypt', { KeyId: rsa, Plaintext })).bytes
    const opened = await ok('Decrypt', { KeyId: rsa, CiphertextBlob, Algorithm: 'RSAES_OAEP_SHA_256' })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    aws.destroy()
  })

  it('uses the version of a key pair that the header names, which the OpenAPI made, in every worker at once', async () => {
    const request = sdkCalls(service.endpoint, credential())['openapi-core V3 query'] ?? expect.fail()
    const { KeyMetadata } = await request('CreateKey', { KeySpec: 'EC_P256' })
    const { KeyId: signing, PrimaryKeyVersion } = KeyMetadata as Record<string, string>
    const pem = async (options = {}) =>
      (await ok('GetPublicKey', { KeyId: signing }, options)).text['PublicKey'] ?? ''
    const first = await pem()
    // Both workers know the key as it was.
    await Promise.all(Array.from({ length: 8 }, () => pem()))
    const { KeyVersion } = await request('CreateKeyVersion', { KeyId: signing ?? '' })
    const { KeyVersionId } = KeyVersion as Record<string, string>
    const under = { headers: { 'x-kms-migrationkeyversionid': KeyVersionId ?? '' } }
    const fields = { KeyId: signing, Message: Plaintext, Algorithm: 'ECDSA_SHA_256' }
    const answers = await Promise.all(Array.from({ length: 8 }, () => ok('Sign', fields, under)))
    const second = await pem(under)
    expect(second).not.toBe(first)
    for (const { bytes, headers } of answers) {
      expect(headers['x-kms-migrationkeyversionid']).toBe(KeyVersionId)
      expect(verify('sha256', Plaintext, second, bytes['Signature'] ?? Buffer.alloc(0))).toBe(true)
    }
    const unnamed = await ok('Sign', fields)
    expect(unnamed.headers['x-kms-migrationkeyversionid']).toBe(PrimaryKeyVersion)
    expect(verify('sha256', Plaintext, first, unnamed.bytes['Signature'] ?? Buffer.alloc(0))).toBe(true)
    expect(await pem()).toBe(first)
  })

  it.each(CLIENTS)('takes client keys that %s makes by the OpenAPI, in every worker', async (name) => {
    const request = sdkCalls(service.endpoint, credential())[name] ?? expect.fail(name)
    const Name = name.replace(/\W/g, '_')
    const Permissions = JSON.stringify(['RbacPermission/Template/CryptoServiceKeyUser'])
    await request('CreatePolicy', { Name, Permissions, Resources: `["key/${KeyId}"]` })
    await request('CreateApplicationAccessPoint', { Name, Policies: `["${Name}"]` })
    const Password = 'aB1~!@#$%^&*?_-'
    const made = await request('CreateClientKey', { AapName: Name, Password })
    const file = Buffer.from(String(made['PrivateKeyData']), 'base64')
    const identity = { clientKeyId: String(made['ClientKeyId']), ...openPkcs12(file, Password) }
    const own = new DkmsClient(identity, httpTransport(service.endpoint))
    const statuses = async () =>
      new Set(
        await Promise.all(
          Array.from(
            { length: 8 },
            async () => (await own.call('AdvanceEncrypt', { KeyId, Plaintext })).status,
          ),
        ),
      )
    expect(await statuses()).toEqual(new Set([200]))
    await request('DeleteClientKey', { ClientKeyId: identity.clientKeyId })
    expect(await statuses()).toEqual(new Set([404]))
  })

  it('makes one pair at a time and refuses the others at once', async () => {
    // Long enough in the making that all requests have come by then.
    const pair = { KeyId, KeyPairSpec: 'RSA_4096', KeyFormat: 'DER' }
    const timed = async () => {
      const answer = await client.call('GenerateDataKeyPair', pair)
      return { ...answer, endedAt: performance.now() }
    }
    const answers = await Promise.all(Array.from({ length: 20 }, timed))
    const made = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 429)
    expect(made.length + refused.length).toBe(20)
    expect(made).toHaveLength(1)
    for (const { text, endedAt } of refused) {
      expect(endedAt).toBeLessThan(made[0]?.endedAt ?? 0)
      expect([text['ErrorCode'], text['ErrorMessage']]).toEqual([
        'Rejected.Throttling',
        'Concurrency Limit Exceeded.',
      ])
    }
    expect((await timed()).status).toBe(200)
  })
})

function expectPair(format: string, publicBytes: Buffer | undefined, privateBytes: Buffer | undefined): void {
  const [open = Buffer.alloc(0), secret = Buffer.alloc(0)] = [publicBytes, privateBytes]
  const [spki, pkcs8] =
    format === 'PEM'
      ? [createPublicKey(open.toString('latin1')), createPrivateKey(secret.toString('latin1'))]
      : [
          createPublicKey({ key: open, format: 'der', type: 'spki' }),
          createPrivateKey({ key: secret, format: 'der', type: 'pkcs8' }),
        ]
  expect(verify('sha256', Plaintext, spki, sign('sha256', Plaintext, pkcs8))).toBe(true)
}
