import { describe, expect, it } from 'vitest'
import { call } from '../support/kms-fixture.ts'
import { alibabaFixture, faultOf } from './alibaba-fixture.ts'

const RESOURCES = { RegionId: 'us-east-1', ResourceType: 'key' }

function json(tags: Record<string, string>): string {
  return JSON.stringify(Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue })))
}

describe('tags of keys', () => {
  const { rpc, newKey } = alibabaFixture()

  async function tagsOf(KeyId: string) {
    const { json: members } = await rpc('ListResourceTags', { KeyId })
    const { Tag } = members['Tags'] as { Tag: { KeyId: string; TagKey: string; TagValue: string }[] }
    return Object.fromEntries(Tag.map(({ TagKey, TagValue }) => [TagKey, TagValue]))
  }

  it('come with the key, and by JSON texts, and go again', async () => {
    const { json: made } = await rpc('CreateKey', { Tags: json({ owner: 'ü', "it's": '*~' }) })
    const { KeyId } = made['KeyMetadata'] as { KeyId: string }
    expect(await tagsOf(KeyId)).toEqual({ owner: 'ü', "it's": '*~' })
    await rpc('TagResource', { KeyId, Tags: json({ owner: 'other', stage: '' }) })
    expect(await tagsOf(KeyId)).toEqual({ owner: 'other', "it's": '*~', stage: '' })
    await rpc('UntagResource', { KeyId, TagKeys: '["stage","none"]' })
    expect(await tagsOf(KeyId)).toEqual({ owner: 'other', "it's": '*~' })
  })

  it('come by lists of parameters, to several keys at once, in the region', async () => {
    const [a, b] = [(await newKey()).keyId, (await newKey()).keyId]
    const both = { ...RESOURCES, 'ResourceId.1': a, 'ResourceId.2': b }
    const tags = { 'Tag.1.Key': 'k', 'Tag.1.Value': 'v', 'Tag.2.Key': 'l', 'Tag.2.Value': '' }
    expect((await rpc('TagResources', { ...both, ...tags })).status).toBe(200)
    expect([await tagsOf(a), await tagsOf(b)]).toEqual([
      { k: 'v', l: '' },
      { k: 'v', l: '' },
    ])
    expect((await rpc('UntagResources', { ...both, 'TagKey.1': 'k' })).status).toBe(200)
    expect(await tagsOf(a)).toEqual({ l: '' })
    expect((await rpc('UntagResources', { ...both, All: 'true' })).status).toBe(200)
    expect([await tagsOf(a), await tagsOf(b)]).toEqual([{}, {}])
  })

  it('change for none of several keys when one of them is not there', async () => {
    const { keyId } = await newKey()
    const missing = '00000000-0000-4000-8000-000000000000'
    const request = { ...RESOURCES, 'ResourceId.1': keyId, 'ResourceId.2': missing, 'Tag.1.Key': 'k' }
    expect((await rpc('TagResources', request)).json['Code']).toBe('Forbidden.KeyNotFound')
    expect(await tagsOf(keyId)).toEqual({})
    expect((await rpc('TagResources', { ...RESOURCES, 'ResourceId.1': keyId })).json['Message']).toContain(
      '"Tag"',
    )
  })

  it('are listed with their keys, by key or by tag, also where there are none', async () => {
    const other = alibabaFixture()
    const [one, two] = [(await other.newKey()).keyId, (await other.newKey()).keyId]
    const [a, b] = one < two ? [one, two] : [two, one]
    await other.rpc('TagResource', { KeyId: a, Tags: json({ stage: 'prod', x: '1' }) })
    await other.rpc('TagResource', { KeyId: b, Tags: json({ stage: 'test' }) })
    const list = async (parameters: Record<string, string>) =>
      (await other.rpc('ListTagResources', { ...RESOURCES, ...parameters })).json
    const row = (ResourceId: string, TagKey: string, TagValue: string) => ({
      ResourceId,
      ResourceType: 'key',
      TagKey,
      TagValue,
    })
    expect(await list({})).toMatchObject({
      TagResources: { TagResource: [row(a, 'stage', 'prod'), row(a, 'x', '1'), row(b, 'stage', 'test')] },
      NextToken: '',
    })
    expect(await list({ 'ResourceId.1': b })).toMatchObject({
      TagResources: { TagResource: [row(b, 'stage', 'test')] },
    })
    expect(await list({ 'Tag.1.Key': 'stage', 'Tag.1.Value': 'prod' })).toMatchObject({
      TagResources: { TagResource: [row(a, 'stage', 'prod'), row(a, 'x', '1')] },
    })
    expect(await list({ 'Tag.1.Key': 'none' })).toMatchObject({ TagResources: { TagResource: [] } })
    expect(await list({ NextToken: a })).toMatchObject({
      TagResources: { TagResource: [row(b, 'stage', 'test')] },
    })
  })

  it('are walked over all keys, 200 at a time, those of several regions among them', async () => {
    const other = alibabaFixture()
    const keyIds: string[] = []
    for (let key = 0; key < 201; key++)
      keyIds.push((await other.kms.createKey(call(), { multiRegion: true })).keyId)
    const last = keyIds.toSorted().at(-1) ?? ''
    await other.rpc('TagResource', { KeyId: last, Tags: json({ last: '' }) })
    const list = async (parameters: Record<string, string>) =>
      (await other.rpc('ListTagResources', { ...RESOURCES, ...parameters })).json
    const first = await list({})
    expect(first).toMatchObject({ TagResources: { TagResource: [] }, NextToken: keyIds.toSorted().at(-2) })
    expect(await list({ NextToken: String(first['NextToken']) })).toMatchObject({
      TagResources: { TagResource: [{ ResourceId: last, TagKey: 'last' }] },
      NextToken: '',
    })
    expect(await list({ NextToken: 'none' })).toMatchObject({ Code: 'InvalidParameter' })
  })

  it('are bounded in number, and of keys alone', async () => {
    const { keyId: KeyId } = await newKey()
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`Tag.${n + 1}.Key`, `k${n}`]))
    const tooMany = await rpc('TagResources', { ...RESOURCES, 'ResourceId.1': KeyId, ...many })
    expect(tooMany.json).toMatchObject({
      Code: 'InvalidParameter',
      Message: expect.stringContaining('"Tag.21"'),
    })
    const secrets = await rpc('ListTagResources', { ...RESOURCES, ResourceType: 'secret' })
    expect(secrets.json['Code']).toBe('UnsupportedOperation')
    const secret = await rpc('TagResource', { KeyId, SecretName: 's', Tags: json({ a: 'b' }) })
    expect(secret.json['Code']).toBe('UnsupportedOperation')
    for (const reserved of ['aliyun', 'Aliyun-x', 'acs:x']) {
      const own = { ...RESOURCES, 'ResourceId.1': KeyId, 'Tag.1.Key': reserved }
      expect((await rpc('TagResources', own)).json['Code']).toBe('InvalidParameter')
      const byJson = await rpc('TagResource', { KeyId, Tags: json({ [reserved]: '' }) })
      expect(byJson.json['Code']).toBe('InvalidParameter')
    }
    const twice = await rpc('TagResource', { KeyId, Tags: '[{"TagKey":"a"},{"TagKey":"a"}]' })
    expect(faultOf(twice)).toEqual([
      400,
      'InvalidParameter',
      'The specified parameter "Tags" is not valid. Duplicate tag keys.',
    ])
  })
})
