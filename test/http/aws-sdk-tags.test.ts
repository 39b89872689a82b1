import {
  CreateKeyCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  ListResourceTagsCommand,
  paginateListResourceTags,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateKeyDescriptionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { refused, sdkFixture } from './sdk-fixture.ts'

const ABSENT = '00000000-0000-4000-8000-000000000000'
const tag = (TagKey: string, TagValue = '') => ({ TagKey, TagValue })
const many = (count: number) => Array.from({ length: count }, (_, n) => tag(`k${n}`.padStart(4, '0')))

describe('tags through the SDK', () => {
  const { clients, newKeyArn } = sdkFixture()
  const put = (KeyId: string, ...Tags: ReturnType<typeof tag>[]) =>
    clients.alice.send(new TagResourceCommand({ KeyId, Tags }))
  const take = (KeyId: string, ...TagKeys: string[]) =>
    clients.alice.send(new UntagResourceCommand({ KeyId, TagKeys }))
  const list = async (KeyId: string) =>
    (await clients.alice.send(new ListResourceTagsCommand({ KeyId }))).Tags

  it('are put on a key, changed, listed and taken away', async () => {
    const KeyId = await newKeyArn({ Tags: [tag('b', 'old'), tag('a')] })
    expect(await list(KeyId)).toEqual([tag('a'), tag('b', 'old')])
    await put(KeyId, tag('b', 'new'), tag('ü', 'ö'.repeat(256)))
    expect(await list(KeyId)).toEqual([tag('a'), tag('b', 'new'), tag('ü', 'ö'.repeat(256))])
    await take(KeyId, 'a', 'none', 'a')
    expect(await list(KeyId)).toEqual([tag('b', 'new'), tag('ü', 'ö'.repeat(256))])
    await put(KeyId)
    await take(KeyId)
    expect(await list(KeyId)).toHaveLength(2)
  })

  it('are walked in pages while others are added', async () => {
    const KeyId = await newKeyArn({ Tags: many(45) })
    const seen: (string | undefined)[] = []
    for await (const page of paginateListResourceTags({ client: clients.alice, pageSize: 20 }, { KeyId })) {
      seen.push(...(page.Tags ?? []).map(({ TagKey }) => TagKey))
      await put(KeyId, tag(`0${seen.length}`))
    }
    expect(seen).toEqual(
      many(45)
        .map(({ TagKey }) => TagKey)
        .toSorted(),
    )
  })

  it('are refused with the texts of AWS', async () => {
    const KeyId = await newKeyArn({ Tags: many(50) })
    await refused(put(KeyId, tag('one more')), 'TagException', 'Too many tags')
    await put(KeyId, ...many(50))
    await refused(put(KeyId, ...many(51)), 'TagException', 'Too many tags')
    await refused(put(KeyId, tag('a'), tag('a', 'b')), 'TagException', 'Duplicate tag keys')
    for (const key of ['aws:x', 'AWS:x', 'aws:'])
      await refused(put(KeyId, tag(key)), 'TagException', 'Tags beginning with aws: are reserved')
    await refused(take(KeyId, 'aws:x'), 'TagException', 'Tags beginning with aws: are reserved')
    const made = (...Tags: ReturnType<typeof tag>[]) => clients.alice.send(new CreateKeyCommand({ Tags }))
    await refused(made(...many(51)), 'TagException', 'Too many tags')
    await refused(made(tag('a'), tag('a')), 'TagException', 'Duplicate tag keys')
    await refused(made(tag('aws:x')), 'TagException', 'Tags beginning with aws: are reserved')
    await refused(put(KeyId, tag('x'.repeat(129))), 'ValidationException', /tags\.1\.member\.tagKey/)
    await refused(put(KeyId, tag('nul\0')), 'ValidationException')
    await refused(take(KeyId, ''), 'ValidationException', /tagKeys\.1\.member/)
  })

  it('are of a key that is there, and by its id or ARN', async () => {
    await refused(put(ABSENT, tag('a')), 'NotFoundException', /does not exist$/)
    await refused(list(ABSENT), 'NotFoundException')
    await refused(take(ABSENT, 'a'), 'NotFoundException')
    await refused(list('alias/a'), 'NotFoundException', "Invalid keyId 'alias/a'")
    const KeyId = await newKeyArn()
    const foreign = clients.mallory.send(new ListResourceTagsCommand({ KeyId: KeyId.split('/')[1] }))
    await refused(foreign, 'NotFoundException')
  })

  it('stay on a key that is disabled, and are not changed on one that waits for its deletion', async () => {
    const KeyId = await newKeyArn({ Tags: [tag('a')] })
    await clients.alice.send(new DisableKeyCommand({ KeyId }))
    await put(KeyId, tag('b'))
    await clients.alice.send(new ScheduleKeyDeletionCommand({ KeyId }))
    const text = `${KeyId} is pending deletion.`
    await refused(put(KeyId, tag('c')), 'KMSInvalidStateException', text)
    await refused(take(KeyId, 'a'), 'KMSInvalidStateException', text)
    expect(await list(KeyId)).toEqual([tag('a'), tag('b')])
  })

  it('have markers of one key alone', async () => {
    const [first, second] = [await newKeyArn({ Tags: many(3) }), await newKeyArn()]
    const page = await clients.alice.send(new ListResourceTagsCommand({ KeyId: first, Limit: 2 }))
    expect(page.Truncated).toBe(true)
    const Marker = page.NextMarker
    const other = clients.alice.send(new ListResourceTagsCommand({ KeyId: second, Marker }))
    await refused(other, 'InvalidMarkerException')
    const limit = clients.alice.send(new ListResourceTagsCommand({ KeyId: first, Limit: 51 }))
    await refused(limit, 'ValidationException', /less than or equal to 50$/)
  })
})

describe('a description through the SDK', () => {
  const { clients, newKeyArn } = sdkFixture()
  const describeAs = (KeyId: string, Description: string) =>
    clients.alice.send(new UpdateKeyDescriptionCommand({ KeyId, Description }))

  it('is changed, also to none, and on a disabled key', async () => {
    const KeyId = await newKeyArn({ Description: 'before' })
    await clients.alice.send(new DisableKeyCommand({ KeyId }))
    for (const Description of ['ä'.repeat(8192), '', '']) {
      await describeAs(KeyId, Description)
      const { KeyMetadata } = await clients.alice.send(new DescribeKeyCommand({ KeyId }))
      expect(KeyMetadata?.Description).toBe(Description)
    }
  })

  it('is refused where it is too long, where there is no such key, and before a deletion', async () => {
    const KeyId = await newKeyArn()
    await refused(describeAs(KeyId, 'x'.repeat(8193)), 'ValidationException')
    await refused(describeAs(ABSENT, ''), 'NotFoundException')
    await clients.alice.send(new ScheduleKeyDeletionCommand({ KeyId }))
    await refused(describeAs(KeyId, 'x'), 'KMSInvalidStateException', `${KeyId} is pending deletion.`)
  })
})
