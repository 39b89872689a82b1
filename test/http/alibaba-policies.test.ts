import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SdkCall, sdkCalls } from '../support/alibaba-clients.ts'
import { sdkClient } from '../support/gateway.ts'
import { ALICE_ACS, ALICE_UID, alibabaFixture, faultOf, MALLORY_ACS } from './alibaba-fixture.ts'
import { ALICE_KEY } from './aws-fixture.ts'

const CLIENTS = Object.keys(sdkCalls('http://127.0.0.1:1', ALICE_ACS))
const fixture = alibabaFixture()
const { rpc } = fixture

/** As programs write them: with line feeds, and characters that encoders get wrong. */
function policyOf(Sid: string, ...Action: readonly string[]): string {
  const statement = {
    Sid,
    Effect: 'Allow',
    Principal: { RAM: [`acs:ram::${ALICE_UID}:user/a.b`, `acs:ram::${ALICE_UID}:*`] },
    Action: ['kms:Set*', ...Action],
    Resource: ['*'],
    Condition: { StringEquals: { 'kms:tag/ü': " !'()*~+%&=" } },
  }
  return JSON.stringify({ Version: '1', Statement: [statement] }, null, 2)
}

const TOO_LONG = policyOf('s').replace('kms:tag/ü', 'x'.repeat(32_769))

const DEFAULT = {
  Version: '1',
  Statement: [
    {
      Sid: 'kms default key policy',
      Effect: 'Allow',
      Principal: { RAM: [`acs:ram::${ALICE_UID}:*`] },
      Action: ['kms:*'],
      Resource: ['*'],
    },
  ],
}

const defaultOf = (members: Readonly<Record<string, unknown>>) => JSON.parse(String(members['Policy']))

describe('policies of keys by the OpenAPI', () => {
  let endpoint: string
  let clients: Readonly<Record<string, SdkCall>>
  beforeAll(async () => {
    endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    clients = sdkCalls(endpoint, ALICE_ACS)
  })
  afterAll(() => fixture.server.close())

  it.each(CLIENTS)('are kept and given back byte for byte to %s', async (name) => {
    const request = clients[name] ?? expect.fail(name)
    const { keyId: KeyId } = await fixture.newKey()
    expect(defaultOf(await request('GetKeyPolicy', { KeyId }))).toEqual(DEFAULT)
    await request('SetKeyPolicy', { KeyId, PolicyName: 'default', Policy: policyOf('one') })
    await request('SetKeyPolicy', { KeyId, Policy: policyOf('two', 'kms:Encrypt') })
    const { Policy } = await request('GetKeyPolicy', { KeyId, PolicyName: 'default' })
    expect(Policy).toBe(policyOf('two', 'kms:Encrypt'))
  })

  it('come with the key, or it is not made', async () => {
    const { json } = await rpc('CreateKey', { Policy: policyOf('with the key') })
    const { KeyId } = json['KeyMetadata'] as { KeyId: string }
    expect((await rpc('GetKeyPolicy', { KeyId })).json['Policy']).toBe(policyOf('with the key'))
    const before = (await rpc('ListKeys')).json['TotalCount']
    for (const Policy of ['{}', TOO_LONG]) {
      const refused = await rpc('CreateKey', { Policy }, { place: 'body' })
      expect(faultOf(refused).slice(0, 2)).toEqual([400, 'InvalidParameter'])
    }
    expect((await rpc('ListKeys')).json['TotalCount']).toBe(before)
  })

  it('and of the AWS KMS API are two things of a key, each in its own language', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const aws = sdkClient({
      AWS_ENDPOINT_URL_KMS: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: ALICE_KEY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: ALICE_KEY.secretAccessKey,
    })
    const shown = async () => (await aws.send(new GetKeyPolicyCommand({ KeyId }))).Policy
    const awsDefault = await shown()
    expect(awsDefault).toContain('arn:aws:iam::')
    await rpc('SetKeyPolicy', { KeyId, Policy: policyOf('of Alibaba Cloud') })
    expect(await shown()).toBe(awsDefault)
    const Policy = awsDefault?.replace('key-default-1', 'of-aws') ?? ''
    await aws.send(new PutKeyPolicyCommand({ KeyId, Policy }))
    expect((await rpc('GetKeyPolicy', { KeyId })).json['Policy']).toBe(policyOf('of Alibaba Cloud'))
    expect(await shown()).toBe(Policy)
    expect((await rpc('SetKeyPolicy', { KeyId, Policy })).json['Code']).toBe('InvalidParameter')
    aws.destroy()
  })

  it('are refused where they are none, and stay as they were', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    await rpc('SetKeyPolicy', { KeyId, Policy: policyOf('kept') })
    const refused = async (parameters: Record<string, string>) =>
      faultOf(await rpc('SetKeyPolicy', { KeyId, Policy: policyOf('s'), ...parameters }, { place: 'body' }))
    expect(await refused({ Policy: '{"Version":"1"}' })).toEqual([
      400,
      'InvalidParameter',
      'The specified parameter "Policy" is not valid. Syntax errors in policy: Statement.',
    ])
    expect((await refused({ Policy: TOO_LONG }))[1]).toBe('InvalidParameter')
    expect((await refused({ Policy: '' }))[1]).toBe('MissingParameter')
    expect(await refused({ PolicyName: 'other' })).toEqual([
      400,
      'InvalidParameter',
      'The specified parameter "PolicyName" is not valid. There is no such policy.',
    ])
    expect((await refused({ KeyId: 'alias/demo' }))[1]).toBe('Unsupported.Alias')
    const other = await rpc('GetKeyPolicy', { KeyId, PolicyName: 'other' })
    expect(other.json['Code']).toBe('InvalidParameter')
    expect((await rpc('GetKeyPolicy', { KeyId })).json['Policy']).toBe(policyOf('kept'))
  })

  it('are of the key’s own account alone', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const credential = MALLORY_ACS
    const set = await rpc('SetKeyPolicy', { KeyId, Policy: policyOf('s') }, { credential })
    const get = await rpc('GetKeyPolicy', { KeyId }, { credential })
    for (const answer of [set, get])
      expect(faultOf(answer).slice(0, 2)).toEqual([404, 'Forbidden.KeyNotFound'])
    expect(defaultOf((await rpc('GetKeyPolicy', { KeyId })).json)).toEqual(DEFAULT)
  })
})
