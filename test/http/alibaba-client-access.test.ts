import { describe, expect, it } from 'vitest'
import { DkmsClient, type Transport } from '../support/dkms-client.ts'
import { openPkcs12 } from '../support/pkcs12.ts'
import { ALICE_UID, alibabaFixture, faultOf, MALLORY_ACS } from './alibaba-fixture.ts'

const USER = 'RbacPermission/Template/CryptoServiceKeyUser'
const PASSWORD = 'aB1~!@#$%^&*?_-'
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

const fixture = alibabaFixture()
const { rpc, server, clock } = fixture
const transport: Transport = async (headers, body) => {
  const answer = await server.inject({ method: 'POST', url: '/', headers, payload: body })
  return { status: answer.statusCode, headers: answer.headers, body: answer.rawPayload }
}
const ok = async (action: string, parameters: Record<string, string> = {}) => {
  const answer = await rpc(action, parameters)
  expect(answer.status, answer.text).toBe(200)
  const { RequestId, ...members } = answer.json
  expect(RequestId).toMatch(UUID)
  return members
}
const refused = async (action: string, parameters: Record<string, string>, options = {}) =>
  faultOf(await rpc(action, parameters, options)).slice(0, 2)

let names = 0
const newName = (what: string) => `${what}_${++names}`
async function newPolicy(Resources: readonly string[], Permissions: readonly string[] = [USER]) {
  const Name = newName('policy')
  await ok('CreatePolicy', {
    Name,
    Resources: JSON.stringify(Resources),
    Permissions: JSON.stringify(Permissions),
  })
  return Name
}
async function newPoint(...policies: readonly string[]) {
  const Name = newName('point')
  await ok('CreateApplicationAccessPoint', { Name, Policies: JSON.stringify(policies) })
  return Name
}
function clientOf(key: Readonly<Record<string, unknown>>) {
  const { privateKey } = openPkcs12(Buffer.from(String(key['PrivateKeyData']), 'base64'), PASSWORD)
  const clientKeyId = String(key['ClientKeyId'])
  return new DkmsClient({ clientKeyId, privateKey }, transport, () => clock.now())
}

const ABSENT = [404, 'Forbidden.ResourceNotFound']

describe('client keys by the OpenAPI', () => {
  it('are two at a time in the making for an account, and one more is refused as retryable', async () => {
    const AapName = await newPoint(await newPolicy(['key/*']))
    const create = () => rpc('CreateClientKey', { AapName, Password: PASSWORD })
    const answers = await Promise.all([create(), create(), create()])
    const [refusal = expect.fail(), ...others] = answers.filter(({ status }) => status !== 200)
    expect(others).toEqual([])
    expect(faultOf(refusal)).toEqual([429, 'Rejected.Throttling', 'Concurrency Limit Exceeded.'])
    expect((await create()).status).toBe(200)
  })

  it('that cannot be made are kept by nobody, and their password is in no log', async () => {
    const issue = () => Promise.reject(new Error('The thread failed.', { cause: new Error('why') }))
    const broken = alibabaFixture({ issuer: { issue } })
    const access = { Resources: '["key/*"]', Permissions: JSON.stringify([USER]) }
    await broken.rpc('CreatePolicy', { Name: 'policy', ...access })
    await broken.rpc('CreateApplicationAccessPoint', { Name: 'point', Policies: '["policy"]' })
    const answer = await broken.rpc('CreateClientKey', { AapName: 'point', Password: PASSWORD })
    expect(faultOf(answer)).toEqual([500, 'InternalFailure', 'Internal Failure.'])
    expect((await broken.rpc('ListClientKeys', { AapName: 'point' })).json).toMatchObject({ ClientKeys: [] })
    expect(broken.lines.join()).toContain('The thread failed.')
    expect(broken.lines.join()).not.toContain(PASSWORD)
  })

  it('are made, used with the instance API, told of and deleted', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const AapName = await newPoint(await newPolicy(['key/*']))
    const made = await ok('CreateClientKey', { AapName, Password: PASSWORD })
    expect(made).toEqual({
      ClientKeyId: expect.stringMatching(/^KAAP\.[\da-f-]{36}$/),
      KeyAlgorithm: 'RSA_2048',
      NotBefore: expect.stringMatching(UTC),
      NotAfter: expect.stringMatching(UTC),
      PrivateKeyData: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/),
    })
    const client = clientOf(made)
    const key = await client.call('AdvanceGenerateDataKey', { KeyId, NumberOfBytes: 32 })
    expect(key.status).toBe(200)
    const { ClientKeyId } = made
    const told = await ok('GetClientKey', { ClientKeyId: String(ClientKeyId) })
    expect(told).toEqual({
      ClientKeyId,
      AapName,
      KeyAlgorithm: 'RSA_2048',
      KeyOrigin: 'KMS_PROVIDED',
      PublicKeyData: expect.stringMatching(/^MII/),
      CreateTime: expect.stringMatching(UTC),
      NotBefore: made['NotBefore'],
      NotAfter: made['NotAfter'],
    })
    expect(await ok('ListClientKeys', { AapName })).toEqual({ ClientKeys: [told] })
    expect(await ok('DeleteClientKey', { ClientKeyId: String(ClientKeyId) })).toEqual({})
    expect((await client.call('GenerateRandom', { Length: 1 })).status).toBe(404)
    expect(await ok('ListClientKeys', { AapName })).toEqual({ ClientKeys: [] })
    const log = fixture.lines.join('')
    for (const secret of [PASSWORD, String(made['PrivateKeyData']).slice(100, 140)])
      expect(log).not.toContain(secret)
  })

  it('hand ciphertexts to and fro between both APIs', async () => {
    const { keyId: KeyId } = await fixture.newKey()
    const AapName = await newPoint(await newPolicy(['key/*']))
    const client = clientOf(await ok('CreateClientKey', { AapName, Password: PASSWORD }))
    const EncryptionContext = JSON.stringify({ b: '2', a: '1' })
    const dataKey = await ok('GenerateDataKey', { KeyId, EncryptionContext })
    const openApi = Buffer.from(String(dataKey['CiphertextBlob']), 'base64')
    const prefixed = Buffer.concat([Buffer.from('240002', 'hex'), openApi])
    const Aad = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from('a=1&b=2')))
    const opened = await client.call('AdvanceDecrypt', { CiphertextBlob: prefixed, Aad })
    expect(opened.bytes['Plaintext']?.toString()).toBe(dataKey['Plaintext'])
    const asTransfer = await client.call(
      'Decrypt',
      { CiphertextBlob: openApi.subarray(48), Iv: openApi.subarray(36, 48), Aad },
      { headers: { 'x-kms-migrationkeyversionid': openApi.toString('latin1', 0, 36) } },
    )
    expect(asTransfer.bytes['Plaintext']?.toString()).toBe(dataKey['Plaintext'])
    const advance = await client.call('AdvanceEncrypt', { KeyId, Plaintext: Buffer.of(0, 255), Aad })
    const CiphertextBlob = (advance.bytes['CiphertextBlob'] ?? Buffer.alloc(0)).subarray(3).toString('base64')
    const back = await ok('Decrypt', { CiphertextBlob, EncryptionContext })
    expect(back['Plaintext']).toBe(Buffer.of(0, 255).toString('base64'))
  })

  it('take their times, and refuse what is no time or password', async () => {
    const AapName = await newPoint(await newPolicy(['key/*']))
    const [NotBefore, NotAfter] = ['2030-01-01T00:00:00Z', '2031-01-01T00:00:00Z']
    const made = await ok('CreateClientKey', { AapName, Password: PASSWORD, NotBefore, NotAfter })
    expect(made).toMatchObject({ NotBefore, NotAfter })
    const parameters = { AapName, Password: PASSWORD }
    for (const wrong of [
      { NotAfter: '2020-01-01T00:00:00Z' },
      { NotAfter: '2031-01-01' },
      { NotAfter: '2031-02-31T00:00:00+01:00' },
      { NotBefore: 'now' },
      { NotBefore: '2031-13-01T00:00:00Z' },
      { NotBefore: '2031-02-30T00:00:00Z' },
      { NotBefore: '2030-01-01T00:00:00Z', NotAfter: '2099-01-01T00:00:00Z' },
      { Password: 'short' },
      { Password: 'abcdefghijk' },
      { Password: 'x'.repeat(200) },
      { AapName: 'no/name' },
    ]) {
      expect(await refused('CreateClientKey', { ...parameters, ...wrong }), JSON.stringify(wrong)).toEqual([
        400,
        'InvalidParameter',
      ])
    }
    expect(await refused('CreateClientKey', { AapName })).toEqual([400, 'MissingParameter'])
    expect(await refused('CreateClientKey', { Password: PASSWORD })).toEqual([400, 'MissingParameter'])
  })
})

describe('access points and policies by the OpenAPI', () => {
  it('are made, told of, changed, listed and deleted', async () => {
    const { keyId } = await fixture.newKey()
    const Policy = newName('policy')
    const Resources = JSON.stringify(['key/*', `key/${keyId}`, 'secret/acs/name'])
    const Permissions = JSON.stringify([USER])
    const policy = { Name: Policy, Description: 'D ü', Resources, Permissions, KmsInstance: 'kst-1' }
    const Arn = `acs:kms:us-east-1:${ALICE_UID}:policy/${Policy}`
    const AccessControlRules = '{"NetworkRules":[]}'
    expect(await ok('CreatePolicy', { ...policy, AccessControlRules })).toEqual({
      ...policy,
      AccessControlRules,
      Arn,
    })
    expect(await ok('DescribePolicy', { Name: Policy })).toEqual({
      Name: Policy,
      Arn,
      Description: 'D ü',
      AccessControlRules,
      KmsInstance: 'kst-1',
      Permissions: [USER],
      Resources: ['key/*', `key/${keyId}`, 'secret/acs/name'],
    })
    await ok('UpdatePolicy', { Name: Policy, Description: '', Resources: `["key/${keyId}"]` })
    expect(await ok('DescribePolicy', { Name: Policy })).toMatchObject({
      Description: '',
      Permissions: [USER],
      Resources: [`key/${keyId}`],
      KmsInstance: 'kst-1',
    })
    const Name = newName('point')
    const Policies = JSON.stringify([Policy])
    const point = {
      Name,
      Arn: `acs:kms:us-east-1:${ALICE_UID}:applicationaccesspoint/${Name}`,
      AuthenticationMethod: 'ClientKey',
      Description: 'an app',
      Policies,
    }
    const { Arn: _arn, ...input } = point
    expect(await ok('CreateApplicationAccessPoint', input)).toEqual(point)
    expect(await ok('DescribeApplicationAccessPoint', { Name })).toEqual(point)
    await ok('UpdateApplicationAccessPoint', { Name, Description: 'another' })
    expect(await ok('DescribeApplicationAccessPoint', { Name })).toEqual({ ...point, Description: 'another' })
    const points = await ok('ListApplicationAccessPoints', { PageSize: '100' })
    expect(points).toMatchObject({
      ApplicationAccessPoints: {
        ApplicationAccessPoint: expect.arrayContaining([{ Name, AuthenticationMethod: 'ClientKey' }]),
      },
      PageNumber: 1,
      PageSize: 100,
    })
    expect(await ok('ListPolicies', { PageSize: '100' })).toMatchObject({
      Policies: { Policy: expect.arrayContaining([{ Name: Policy }]) },
    })
    expect(await ok('DeleteApplicationAccessPoint', { Name })).toEqual({})
    expect(await ok('DeletePolicy', { Name: Policy })).toEqual({})
    for (const action of [
      'DescribeApplicationAccessPoint',
      'DeleteApplicationAccessPoint',
      'DescribePolicy',
    ]) {
      expect(await refused(action, { Name })).toEqual(ABSENT)
    }
  })

  it('limit what client keys may use', async () => {
    const [own, other] = [await fixture.newKey(), await fixture.newKey()]
    const AapName = await newPoint(await newPolicy([`key/${own.keyId}`]))
    const client = clientOf(await ok('CreateClientKey', { AapName, Password: PASSWORD }))
    const statusOf = async (KeyId: string) =>
      (await client.call('GenerateDataKey', { KeyId, NumberOfBytes: 1 })).status
    expect([await statusOf(own.keyId), await statusOf(other.keyId)]).toEqual([200, 403])
  })

  it('are refused where something would be kept and not honoured, or is no such thing', async () => {
    const Name = newName('policy')
    const Resources = '["key/*"]'
    const Permissions = JSON.stringify([USER])
    const policy = { Name, Resources, Permissions }
    const INVALID = [400, 'InvalidParameter']
    const rules = { AccessControlRules: '{"NetworkRules":["office"]}' }
    expect(await refused('CreatePolicy', { ...policy, ...rules })).toEqual([400, 'UnsupportedOperation'])
    for (const wrong of [
      { AccessControlRules: '[]' },
      { AccessControlRules: '{"NetworkRules":1}' },
      { Resources: '[]' },
      { Resources: 'key/*' },
      { Resources: '["*"]' },
      { Resources: '["key/"]' },
      { Resources: '["key/x"]' },
      { Resources: '["key/*/more"]' },
      { Resources: '[1]' },
      { Resources: `["key/*"${',"key/*"'.repeat(40)}]` },
      { Permissions: '["Everything"]' },
      { Name: 'a b' },
      { Name: 'x'.repeat(65) },
    ]) {
      expect(await refused('CreatePolicy', { ...policy, ...wrong }), JSON.stringify(wrong)).toEqual(INVALID)
    }
    await ok('CreatePolicy', policy)
    expect(await refused('CreatePolicy', policy)).toEqual([400, 'Rejected.AlreadyExists'])
    const point = { Name: newName('point'), Policies: JSON.stringify([Name]) }
    expect(await refused('CreateApplicationAccessPoint', { ...point, Policies: '["none"]' })).toEqual(ABSENT)
    const method = { AuthenticationMethod: 'RAM' }
    expect(await refused('CreateApplicationAccessPoint', { ...point, ...method })).toEqual(INVALID)
    for (const action of ['CreateNetworkRule', 'DescribeNetworkRule', 'ListNetworkRules']) {
      expect(await refused(action, { Name })).toEqual([400, 'UnsupportedOperation'])
    }
  })

  it('are nobody else’s', async () => {
    const Policy = await newPolicy(['key/*'])
    const Name = await newPoint(Policy)
    const { ClientKeyId } = await ok('CreateClientKey', { AapName: Name, Password: PASSWORD })
    const mallory = { credential: MALLORY_ACS }
    const attempts: readonly (readonly [string, Record<string, string>])[] = [
      ['DescribePolicy', { Name: Policy }],
      ['DeletePolicy', { Name: Policy }],
      ['DescribeApplicationAccessPoint', { Name }],
      ['DeleteApplicationAccessPoint', { Name }],
      ['UpdateApplicationAccessPoint', { Name, Description: 'x' }],
      ['CreateClientKey', { AapName: Name, Password: PASSWORD }],
      ['ListClientKeys', { AapName: Name }],
      ['GetClientKey', { ClientKeyId: String(ClientKeyId) }],
      ['DeleteClientKey', { ClientKeyId: String(ClientKeyId) }],
    ]
    for (const [action, parameters] of attempts) {
      expect(await refused(action, parameters, mallory), action).toEqual(ABSENT)
    }
  })
})
