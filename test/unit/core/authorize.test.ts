import { beforeEach, describe, expect, it, vi } from 'vitest'
import * as authorization from '../../../src/core/authorize/authorize.ts'
import { KmsError } from '../../../src/core/errors.ts'
import type { KeyUsage, MasterKey } from '../../../src/core/key.ts'
import type { Kms } from '../../../src/core/kms.ts'
import type { CallContext } from '../../../src/core/kms-context.ts'
import { ALICE, call, kmsFixture, MALLORY } from '../../support/kms-fixture.ts'

vi.mock(import('../../../src/core/authorize/authorize.ts'), async (original) => {
  const actual = await original()
  return { ...actual, authorize: vi.fn(actual.authorize) }
})
const authorize = vi.mocked(authorization.authorize)

let fixture: ReturnType<typeof kmsFixture>
let key: MasterKey
let blob: Buffer

beforeEach(async () => {
  authorize.mockReset()
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), {})
  const named = { kind: 'id', keyId: key.keyId } as const
  blob = (await fixture.kms.encrypt(call(), { key: named, plaintext: Buffer.from('x') })).blob
  await fixture.kms.createAlias(call(), 'alias/one', named)
})

const named = () => ({ kind: 'id', keyId: key.keyId }) as const

/** Every operation, and the actions that it must ask for. */
const OPERATIONS: readonly (readonly [string, (kms: Kms, c: CallContext) => Promise<unknown>])[] = [
  ['CreateKey', (kms, c) => kms.createKey(c, {})],
  ['DescribeKey', (kms, c) => kms.describeKey(c, named())],
  ['ListKeys', (kms, c) => kms.listKeys(c, { limit: 10 })],
  ['EnableKey', (kms, c) => kms.enableKey(c, key.keyId)],
  ['DisableKey', (kms, c) => kms.disableKey(c, key.keyId)],
  ['ScheduleKeyDeletion', (kms, c) => kms.scheduleKeyDeletion(c, key.keyId, 7)],
  ['CancelKeyDeletion', (kms, c) => kms.cancelKeyDeletion(c, key.keyId)],
  ['CreateAlias', (kms, c) => kms.createAlias(c, 'alias/two', named())],
  ['UpdateAlias', (kms, c) => kms.updateAlias(c, 'alias/one', named())],
  ['DeleteAlias', (kms, c) => kms.deleteAlias(c, 'alias/one')],
  ['ListAliases', (kms, c) => kms.listAliases(c, { limit: 10 })],
  ['Encrypt', (kms, c) => kms.encrypt(c, { key: named(), plaintext: Buffer.from('x') })],
  ['Decrypt', (kms, c) => kms.decrypt(c, { blob })],
  ['ReEncryptFrom', (kms, c) => kms.reEncrypt(c, { blob, destinationKey: named() })],
  ['ReEncryptTo', (kms, c) => kms.reEncrypt(c, { blob, destinationKey: named() })],
  ['GenerateDataKey', (kms, c) => kms.generateDataKey(c, { key: named(), lengthBytes: 32 })],
  [
    'GenerateDataKeyWithoutPlaintext',
    (kms, c) => kms.generateDataKeyWithoutPlaintext(c, { key: named(), lengthBytes: 32 }),
  ],
  ['GenerateRandom', (kms, c) => kms.generateRandom(c, 32)],
]

describe('authorize', () => {
  it.each(OPERATIONS)(
    'is asked for %s before the token and the store are touched',
    async (action, operate) => {
      authorize.mockImplementation((_principal, asked) => {
        if (asked === action) throw new KmsError('ACCESS_DENIED', 'Denied by the test.', { action: asked })
      })
      fixture.provider.calls.length = 0
      await expect(operate(fixture.kms, call())).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
      expect(fixture.provider.calls).toEqual([])
      expect(await fixture.store.getKey(key.region, key.keyId)).toEqual(key)
      expect(await fixture.store.getAlias(key.accountId, key.region, 'alias/two')).toBeUndefined()
      expect(await fixture.store.getAlias(key.accountId, key.region, 'alias/one')).toBeDefined()
    },
  )

  it('allows the owner in the region of the key, and nobody else', async () => {
    const { authorize: real } = await vi.importActual<typeof authorization>(
      '../../../src/core/authorize/authorize.ts',
    )
    expect(() => real(ALICE, 'Encrypt', key)).not.toThrow()
    expect(() => real(ALICE, 'ListKeys')).not.toThrow()
    expect(() => real(MALLORY, 'Encrypt', key)).toThrow('not allowed')
    expect(() => real({ ...ALICE, region: 'eu-west-1' }, 'Encrypt', key)).toThrow('not allowed')
  })
})

describe('key usage', () => {
  const foreign: readonly KeyUsage[] = ['SIGN_VERIFY', 'GENERATE_VERIFY_MAC', 'KEY_AGREEMENT']
  const encrypting = [
    'Encrypt',
    'Decrypt',
    'ReEncryptTo',
    'GenerateDataKey',
    'GenerateDataKeyWithoutPlaintext',
  ]

  it.each(foreign)('%s forbids every operation that encrypts', async (usage) => {
    const getKey = fixture.store.getKey.bind(fixture.store)
    fixture.store.getKey = async (region, keyId) => {
      const found = await getKey(region, keyId)
      return found && { ...found, usage }
    }
    fixture.directory.forgetKey(key.region, key.keyId)
    fixture.provider.calls.length = 0
    for (const [action, operate] of OPERATIONS.filter(([name]) => encrypting.includes(name))) {
      await expect(operate(fixture.kms, call()), action).rejects.toMatchObject({
        code: 'KEY_USAGE_INVALID',
        details: { usage },
      })
    }
    expect(fixture.provider.calls).toEqual([])
  })
})
