import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { DecryptCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sdkCalls } from '../support/alibaba-clients.ts'
import { type DkmsAnswer, DkmsClient, type Fields, httpTransport } from '../support/dkms-client.ts'
import {
  buildImage,
  type Container,
  describeWithEngine,
  HOME,
  newVolume,
  removeAll,
  startContainer,
} from '../support/docker.ts'
import { sdkClient } from '../support/gateway.ts'
import { openPkcs12 } from '../support/pkcs12.ts'

const KeyId = 'alias/demo'
const Aad = Buffer.from('what is bound')
const Password = 'aB1~!@#$%^&*?_-'
const CALLS_AT_ONCE = 20

/** The limits that `docker run` is shown with; makers of client keys are threads within them. */
const RESTRICTED = { ReadonlyRootfs: true, PidsLimit: 200, Memory: 512 * 1024 * 1024 }

describeWithEngine('the KMS Instance API of a container', () => {
  let started: Container
  let client: DkmsClient

  /** Everything that an operator does before the first request, through an unmodified client of the OpenAPI. */
  async function newClient(): Promise<DkmsClient> {
    const env = await started.env()
    const request = sdkCalls(started.endpoint, {
      accessKeyId: env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
      accessKeySecret: env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
    })['openapi-core V3 query']
    if (!request) expect.fail()
    const access = {
      Permissions: '["RbacPermission/Template/CryptoServiceKeyUser"]',
      Resources: '["key/*"]',
    }
    await request('CreatePolicy', { Name: 'all', ...access })
    await request('CreateApplicationAccessPoint', { Name: 'app', Policies: '["all"]' })
    const made = await request('CreateClientKey', { AapName: 'app', Password })
    const { privateKey } = openPkcs12(Buffer.from(String(made['PrivateKeyData']), 'base64'), Password)
    const identity = { clientKeyId: String(made['ClientKeyId']), privateKey }
    return new DkmsClient(identity, httpTransport(started.endpoint))
  }

  const ok = async (api: string, fields: Fields): Promise<DkmsAnswer> => {
    const answer = await client.call(api, fields)
    expect(answer, JSON.stringify(answer.text)).toMatchObject({ status: 200 })
    return answer
  }

  beforeAll(async () => {
    await buildImage()
    const volume = await newVolume()
    const first = await startContainer({ volume })
    await first.container.stop({ t: 30 })
    // Two workers: what one made, the other takes at once.
    const command = ['serve', '--config', `${HOME}/config.yaml`, '--workers', '2']
    started = await startContainer({ volume, command, host: RESTRICTED })
    client = await newClient()
  })
  afterAll(removeAll)

  it('makes data keys for a client key of the OpenAPI, and opens them again', async () => {
    const made = (await ok('GenerateDataKey', { KeyId, NumberOfBytes: 32, Aad })).bytes
    const { CiphertextBlob, Iv, Plaintext } = made
    expect(Plaintext).toHaveLength(32)
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob, Iv, Aad })
    expect(opened.bytes['Plaintext']).toEqual(Plaintext)
    const wrong = await client.call('Decrypt', { KeyId, CiphertextBlob, Iv })
    expect([wrong.status, wrong.text['ErrorCode']]).toEqual([400, 'InvalidParameter'])
    const advance = (await ok('AdvanceGenerateDataKey', { KeyId, NumberOfBytes: 16 })).bytes
    const again = await ok('AdvanceDecrypt', { CiphertextBlob: advance['CiphertextBlob'] })
    expect(again.bytes['Plaintext']).toEqual(advance['Plaintext'])
  })

  it('makes key pairs whose private keys open again', async () => {
    const pair = await ok('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'EC_P256', KeyFormat: 'PEM', Aad })
    const { PrivateKeyPlaintext, PrivateKeyCiphertextBlob, PublicKey, Iv } = pair.bytes
    const signature = sign('sha256', Aad, createPrivateKey(String(PrivateKeyPlaintext)))
    expect(verify('sha256', Aad, createPublicKey(String(PublicKey)), signature)).toBe(true)
    const opened = await ok('Decrypt', { KeyId, CiphertextBlob: PrivateKeyCiphertextBlob, Iv, Aad })
    expect(opened.bytes['Plaintext']).toEqual(PrivateKeyPlaintext)
  })

  it('shares its keys with the AWS KMS API', async () => {
    const { bytes } = await ok('AdvanceEncrypt', { KeyId, Plaintext: Aad })
    const kms = sdkClient(await started.env())
    const opened = await kms.send(new DecryptCommand({ CiphertextBlob: bytes['CiphertextBlob'] }))
    expect(Buffer.from(opened.Plaintext ?? [])).toEqual(Aad)
    kms.destroy()
  })

  it('makes one key pair at a time, and throttles the others at once', async () => {
    const ask = () => client.call('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'RSA_4096', KeyFormat: 'DER' })
    const answers = await Promise.all(Array.from({ length: CALLS_AT_ONCE }, ask))
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(CALLS_AT_ONCE - refused.length)
    expect(refused.length).toBeGreaterThan(0)
    for (const { text } of refused) {
      expect([text['ErrorCode'], text['ErrorMessage']]).toEqual([
        'Rejected.Throttling',
        'Concurrency Limit Exceeded.',
      ])
    }
    expect((await ask()).status).toBe(200)
  })
})
