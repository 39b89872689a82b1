import {
  CreateKeyCommand,
  GetKeyPolicyCommand,
  ListKeyPoliciesCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { ALICE_ROOT, MALLORY_ROOT, refused, sdkFixture } from './sdk-fixture.ts'

const ABSENT = '00000000-0000-4000-8000-000000000000'
const LOCKED = 'The new key policy will not allow you to update the key policy in the future.'

function policy(AWS: string, note = ''): string {
  const Statement = [{ Sid: note, Effect: 'Allow', Principal: { AWS }, Action: 'kms:*', Resource: '*' }]
  return JSON.stringify({ Version: '2012-10-17', Statement })
}

describe('key policies through the SDK', () => {
  const { clients, newKeyArn, store } = sdkFixture()
  const put = (KeyId: string, Policy: string, more: object = {}) =>
    clients.alice.send(new PutKeyPolicyCommand({ KeyId, Policy, ...more }))
  const get = (KeyId: string, PolicyName?: string) =>
    clients.alice.send(new GetKeyPolicyCommand({ KeyId, PolicyName }))

  it('are the default one of AWS until another is put, the same again and again', async () => {
    const KeyId = await newKeyArn()
    const { Policy, PolicyName } = await get(KeyId)
    expect(PolicyName).toBe('default')
    expect(JSON.parse(Policy ?? '')).toEqual({
      Version: '2012-10-17',
      Id: 'key-default-1',
      Statement: [
        {
          Sid: 'Enable IAM User Permissions',
          Effect: 'Allow',
          Principal: { AWS: ALICE_ROOT },
          Action: 'kms:*',
          Resource: '*',
        },
      ],
    })
    await put(KeyId, Policy ?? '')
    for (const wanted of [`${policy(ALICE_ROOT, 'ö')}\n`, policy(ALICE_ROOT), policy(ALICE_ROOT)]) {
      await put(KeyId, wanted, { PolicyName: 'default' })
      expect(await get(KeyId, 'default')).toMatchObject({ Policy: wanted, PolicyName: 'default' })
    }
    const names = await clients.alice.send(new ListKeyPoliciesCommand({ KeyId }))
    expect(names).toMatchObject({ PolicyNames: ['default'], Truncated: false })
  })

  it('are given to a new key', async () => {
    const Policy = policy(ALICE_ROOT, 'of a new key')
    expect(await get(await newKeyArn({ Policy }))).toMatchObject({ Policy })
    const made = (input: object) => clients.alice.send(new CreateKeyCommand(input))
    await refused(made({ Policy: policy(MALLORY_ROOT) }), 'MalformedPolicyDocumentException', LOCKED)
    await refused(made({ Policy: '{}' }), 'MalformedPolicyDocumentException')
    const locked = { Policy: policy(MALLORY_ROOT), BypassPolicyLockoutSafetyCheck: true }
    const { KeyMetadata } = await made(locked)
    expect(await get(KeyMetadata?.Arn ?? '')).toMatchObject({ Policy: locked.Policy })
    expect(KeyMetadata?.KeyState).toBe('Enabled')
  })

  it('may not lock out whoever puts them, unless that is wanted', async () => {
    const KeyId = await newKeyArn()
    await refused(put(KeyId, policy(MALLORY_ROOT)), 'MalformedPolicyDocumentException', LOCKED)
    await put(KeyId, policy(MALLORY_ROOT), { BypassPolicyLockoutSafetyCheck: true })
    expect(await get(KeyId)).toMatchObject({ Policy: policy(MALLORY_ROOT) })
  })

  it('are refused in the words of AWS', async () => {
    const KeyId = await newKeyArn()
    await refused(put(KeyId, 'x'), 'MalformedPolicyDocumentException', /^Syntax errors in policy/)
    const stranger = put(KeyId, policy('stranger'))
    await refused(stranger, 'MalformedPolicyDocumentException', /invalid principals\.$/)
    await refused(put(KeyId, policy(ALICE_ROOT).padEnd(32_769)), 'LimitExceededException')
    await put(KeyId, policy(ALICE_ROOT).padEnd(32_768))
    const wire = put(KeyId, policy(ALICE_ROOT).padEnd(131_073))
    await refused(wire, 'ValidationException')
    await refused(put(KeyId, policy(ALICE_ROOT, '€')), 'ValidationException', /regular expression/)
    const other = put(KeyId, policy(ALICE_ROOT), { PolicyName: 'other' })
    await refused(other, 'NotFoundException', 'No such policy exists')
    await refused(get(KeyId, 'other'), 'NotFoundException', 'No such policy exists')
    await refused(get(KeyId, 'a b'), 'ValidationException')
  })

  it('are of a key that is there, in whatever state', async () => {
    await refused(put(ABSENT, policy(ALICE_ROOT)), 'NotFoundException')
    await refused(get(ABSENT), 'NotFoundException')
    await refused(clients.alice.send(new ListKeyPoliciesCommand({ KeyId: ABSENT })), 'NotFoundException')
    const KeyId = await newKeyArn()
    await refused(
      clients.mallory.send(new GetKeyPolicyCommand({ KeyId: KeyId.split('/')[1] })),
      'NotFoundException',
    )
    await clients.alice.send(new ScheduleKeyDeletionCommand({ KeyId }))
    await put(KeyId, policy(ALICE_ROOT, 'at the end'))
    expect(await get(KeyId)).toMatchObject({ Policy: policy(ALICE_ROOT, 'at the end') })
    const Marker = 'x'
    await refused(clients.alice.send(new ListKeyPoliciesCommand({ KeyId, Marker })), 'InvalidMarkerException')
  })

  it('are read from memory: a request does not ask the store again for what is there, also where it is nothing', async () => {
    const [own, none] = [await newKeyArn({ Policy: policy(ALICE_ROOT) }), await newKeyArn()]
    const asked: string[] = []
    const read = store.getKeyPolicies.bind(store)
    store.getKeyPolicies = (region, keyId) => {
      asked.push(keyId)
      return read(region, keyId)
    }
    for (const KeyId of [own, none, own, none]) await get(KeyId)
    expect(asked).toHaveLength(2)
    await put(none, policy(ALICE_ROOT, 'new'))
    expect(await get(none)).toMatchObject({ Policy: policy(ALICE_ROOT, 'new') })
    expect(asked).toHaveLength(3)
  })
})
