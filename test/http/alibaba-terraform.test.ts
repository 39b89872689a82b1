import { expect, it } from 'vitest'
import { type AcsAnswer, alibabaFixture, faultOf } from './alibaba-fixture.ts'

/**
 * What the provider `alicloud` of Terraform sends and compares (its resources alicloud_kms_key, _alias, _policy,
 * _application_access_point and _client_key): an attribute that comes back otherwise than it was given is planned as a change,
 * and where it cannot be changed the resource is destroyed and made anew.
 */
const { rpc } = alibabaFixture()

async function ok(action: string, parameters: Record<string, string>): Promise<AcsAnswer['json']> {
  const answer = await rpc(action, parameters)
  expect(answer.status, answer.text).toBe(200)
  return answer.json
}

it.each(['SOFTWARE', 'HSM'])(
  'a key of ProtectionLevel %s is found as it was made',
  async (ProtectionLevel) => {
    const given = { Description: 'of Terraform', KeyUsage: 'ENCRYPT/DECRYPT', ProtectionLevel }
    const Tags = '[{"TagKey":"team","TagValue":"payments"}]'
    const { KeyMetadata } = await ok('CreateKey', { ...given, Tags })
    const { KeyId } = KeyMetadata as { readonly KeyId: string }
    expect(KeyMetadata).toMatchObject(given)
    const read = await ok('DescribeKey', { KeyId })
    const inNoInstance = { DKMSInstanceId: '', DeletionProtection: 'Disabled', AutomaticRotation: 'Disabled' }
    expect(read['KeyMetadata']).toMatchObject({ ...given, ...inNoInstance, KeyState: 'Enabled' })
    expect(read['KeyMetadata']).not.toHaveProperty('RotationInterval')
    const tags = await ok('ListTagResources', {
      RegionId: 'us-east-1',
      ResourceType: 'key',
      'ResourceId.1': KeyId,
    })
    expect(tags['TagResources']).toMatchObject({ TagResource: [{ TagKey: 'team', TagValue: 'payments' }] })
    const Filters = JSON.stringify([{ Key: 'ProtectionLevel', Values: [ProtectionLevel] }])
    expect(await ok('ListKeys', { Filters })).toMatchObject({ TotalCount: 1, Keys: { Key: [{ KeyId }] } })
    await ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: '7' })
  },
)

it('a key that nobody asked a level for says that it is in an HSM', async () => {
  const { KeyMetadata } = await ok('CreateKey', {})
  expect(KeyMetadata).toMatchObject({ ProtectionLevel: 'HSM' })
})

it('a policy is found as it was made, with the instance that it was made for', async () => {
  const policy = {
    Name: 'tf',
    KmsInstance: 'kst-hzz62ee817bvyyr5x',
    AccessControlRules: '{"NetworkRules":[]}',
  }
  const lists = { Permissions: ['RbacPermission/Template/CryptoServiceKeyUser'], Resources: ['key/*'] }
  const [Permissions, Resources] = [JSON.stringify(lists.Permissions), JSON.stringify(lists.Resources)]
  await ok('CreatePolicy', { ...policy, Permissions, Resources })
  expect(await ok('DescribePolicy', { Name: 'tf' })).toMatchObject({ ...policy, ...lists, Description: '' })
  await ok('CreateApplicationAccessPoint', {
    Name: 'tf',
    AuthenticationMethod: 'ClientKey',
    Policies: '["tf"]',
  })
  // The provider takes this text apart by its commas and quotes.
  expect(await ok('DescribeApplicationAccessPoint', { Name: 'tf' })).toMatchObject({ Policies: '["tf"]' })
})

it.each([
  ['DescribePolicy', { Name: 'gone' }],
  ['DeletePolicy', { Name: 'gone' }],
  ['DescribeApplicationAccessPoint', { Name: 'gone' }],
  ['DeleteApplicationAccessPoint', { Name: 'gone' }],
  ['GetClientKey', { ClientKeyId: 'KAAP.11111111-2222-4333-8444-000000000001' }],
] as const)(
  '%s of what somebody else deleted is told by the code that the provider knows',
  async (action, named) => {
    expect(faultOf(await rpc(action, named)).slice(0, 2)).toEqual([404, 'Forbidden.ResourceNotFound'])
  },
)
