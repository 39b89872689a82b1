import { beforeEach, describe, expect, it } from 'vitest'
import { authorize } from '../../../src/core/authorize/authorize.ts'
import type { KeyUsage } from '../../../src/core/key.ts'
import { ALICE, call, MALLORY } from '../../support/kms-fixture.ts'
import { KMS_OPERATIONS, type OperationStage, stageOperations } from '../../support/kms-operations.ts'

let stage: OperationStage
beforeEach(async () => {
  stage = await stageOperations()
})

describe('authorize', () => {
  it('allows the owner in the region of the key, and nobody else', () => {
    const key = stage.keys.sealing
    expect(() => authorize(ALICE, 'Encrypt', key)).not.toThrow()
    expect(() => authorize(ALICE, 'ListKeys')).not.toThrow()
    expect(() => authorize(MALLORY, 'Encrypt', key)).toThrow('not allowed')
    expect(() => authorize({ ...ALICE, region: 'eu-west-1' }, 'Encrypt', key)).toThrow('not allowed')
  })
})

describe('a principal that may use some keys alone', () => {
  const limited = (...keyIds: string[]) => ({ ...ALICE, keyIds: new Set(keyIds) })

  it('uses those, and what is of no key', () => {
    const { sealing, signing } = stage.keys
    const principal = limited(sealing.keyId)
    expect(() => authorize(principal, 'Encrypt', sealing)).not.toThrow()
    expect(() => authorize(principal, 'GenerateRandom')).not.toThrow()
    expect(() => authorize(principal, 'Sign', signing)).toThrow('not allowed')
  })

  it('may do nothing at all where these are none', () => {
    expect(() => authorize(limited(), 'Encrypt', stage.keys.sealing)).toThrow('not allowed')
    expect(() => authorize(limited(), 'GenerateRandom')).toThrow('not allowed')
  })

  it('opens nothing that another key sealed, whether it names the key or not', async () => {
    const { fixture, blob, keys, named } = stage
    const context = { ...call(), principal: limited(keys.regional.keyId) }
    fixture.provider.calls.length = 0
    const detached = {
      key: named('sealing'),
      ...stage.detached,
      aad: { kind: 'bytes', bytes: Buffer.of() },
    } as const
    for (const denied of [
      fixture.kms.decrypt(context, { blob }),
      fixture.kms.decrypt(context, { blob, key: named('sealing') }),
      fixture.kms.decryptDetached(context, detached),
      fixture.kms.reEncrypt(context, { blob, destinationKey: named('regional') }),
      fixture.kms.describeKey(context, named('sealing')),
    ])
      await expect(denied).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    expect(fixture.provider.calls).toEqual([])
  })
})

describe('key usage', () => {
  const foreign: readonly KeyUsage[] = ['SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT']
  const encrypting = Object.entries(KMS_OPERATIONS).filter(([, { uses }]) => uses?.keys.includes('sealing'))

  it.each(foreign)('%s forbids every operation that encrypts', async (usage) => {
    const { fixture, keys } = stage
    const getKey = fixture.store.getKey.bind(fixture.store)
    fixture.store.getKey = async (region, keyId) => {
      const found = await getKey(region, keyId)
      return found && { ...found, usage }
    }
    for (const { region, keyId } of Object.values(keys)) fixture.directory.forgetKey(region, keyId)
    fixture.provider.calls.length = 0
    for (const [name, { run }] of encrypting)
      await expect(run(fixture.kms, call(), stage), name).rejects.toMatchObject({
        code: 'KEY_USAGE_INVALID',
        details: { usage },
      })
    expect(encrypting).toHaveLength(8)
    expect(fixture.provider.calls).toEqual([])
  })
})
