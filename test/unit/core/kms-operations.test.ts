import { beforeEach, describe, expect, it, vi } from 'vitest'
import * as authorization from '../../../src/core/authorize/authorize.ts'
import { KmsError } from '../../../src/core/errors.ts'
import { Kms } from '../../../src/core/kms.ts'
import { KmsCryptography } from '../../../src/core/kms-cryptography.ts'
import { call } from '../../support/kms-fixture.ts'
import { KMS_OPERATIONS, type OperationStage, stageOperations } from '../../support/kms-operations.ts'

vi.mock(import('../../../src/core/authorize/authorize.ts'), async (original) => {
  const actual = await original()
  return { ...actual, authorize: vi.fn(actual.authorize) }
})
const authorize = vi.mocked(authorization.authorize)

const OPERATIONS = Object.entries(KMS_OPERATIONS)
const CRYPTOGRAPHY = Object.getOwnPropertyNames(KmsCryptography.prototype)
const ASKED = OPERATIONS.flatMap(([name, row]) => row.asks.map((action) => [name, action, row] as const))

let stage: OperationStage
beforeEach(async () => {
  authorize.mockReset()
  stage = await stageOperations()
})

/** Everything that the store is asked from now on. */
function questionsOf({ fixture: { store } }: OperationStage): string[] {
  const asked: string[] = []
  for (let object: object = store; object !== Object.prototype; object = Object.getPrototypeOf(object))
    for (const name of Object.getOwnPropertyNames(object)) {
      const method: unknown = Reflect.get(store, name)
      if (typeof method !== 'function' || name === 'constructor') continue
      vi.spyOn(store, name as 'ping').mockImplementation((...args) => {
        asked.push(name)
        return Reflect.apply(method, store, args)
      })
    }
  return asked
}

/** Everything that the store is asked to change from now on. */
function changesOf({ fixture: { store } }: OperationStage): string[] {
  const changes: string[] = []
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(store)))
    if (/^(?:add|create|delete|lease|move|put|remove|replace|update)/.test(name))
      vi.spyOn(store, name as 'ping').mockImplementation(async () => void changes.push(name))
  return changes
}

describe('the operations', () => {
  it('are all there are', () => {
    const methods = [Kms, KmsCryptography].flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype))
    expect(methods.filter((name) => name !== 'constructor').toSorted()).toEqual(
      Object.keys(KMS_OPERATIONS).toSorted(),
    )
  })

  it.each(OPERATIONS)('%s asks for what it does, and succeeds', async (_, { asks, run }) => {
    authorize.mockClear()
    await run(stage.fixture.kms, call(), stage)
    expect([...new Set(authorize.mock.calls.map(([, action]) => action))]).toEqual(asks)
  })

  it.each(ASKED)(
    '%s without the permission for %s touches neither token nor store',
    async (_, action, row) => {
      const changes = changesOf(stage)
      authorize.mockImplementation((_principal, asked) => {
        if (asked === action) throw new KmsError('ACCESS_DENIED', 'Denied by the test.', { action: asked })
      })
      stage.fixture.provider.calls.length = 0
      const denied = row.run(stage.fixture.kms, call(), stage)
      await expect(denied).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
      expect(stage.fixture.provider.calls).toEqual([])
      expect(changes).toEqual([])
    },
  )

  it.each(OPERATIONS)('%s is kept as the last use of the keys that it used', async (_, { uses, run }) => {
    const { fixture, keys } = stage
    const kms = fixture.kmsWith(fixture.directory)
    await run(kms, call(), stage)
    const last: Record<string, string> = {}
    for (const [name, { keyId }] of Object.entries(keys)) {
      const { use } = await kms.getKeyLastUsage(call(), keyId)
      if (use) last[name] = use.operation
    }
    const wanted = (uses?.keys ?? []).map((name) => [name, uses?.operation])
    expect(last).toEqual(Object.fromEntries(wanted))
  })

  it.each(OPERATIONS.filter(([name]) => CRYPTOGRAPHY.includes(name)))(
    '%s asks neither the store nor the token for what is known of its keys, once it is fresh',
    async (_, { run }) => {
      const { kms, provider } = stage.fixture
      await run(kms, call(), stage)
      const asked = questionsOf(stage)
      provider.calls.length = 0
      await run(kms, call(), stage)
      expect(asked).toEqual([])
      expect(provider.calls).not.toContain('findMasterKey')
      expect(provider.calls).not.toContain('readPublicKey')
    },
  )
})
