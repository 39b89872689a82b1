import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { call, GRACE_MS, kmsFixture } from '../../support/kms-fixture.ts'

const DAY_MS = 86_400_000
const NOTHING = { finished: 0, rolledBack: 0, destroyed: 0, failed: 0 }
const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })

type Fixture = ReturnType<typeof kmsFixture>

const byId = (key: MasterKey) => ({ kind: 'id', keyId: key.keyId }) as const

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'no error'
  } catch (error) {
    return error instanceof KmsError ? error.code : String(error)
  }
}

let fixture: Fixture
let key: MasterKey

beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), {})
})

const later = () => fixture.clock.now() + 1
const destructions = () => fixture.provider.calls.filter((name) => name === 'destroyMasterKey').length

/** A creation that is cut off by `cut`, and the row that it left. */
async function cutOffCreation(cut: () => void): Promise<MasterKey> {
  cut()
  expect(await codeOf(fixture.kms.createKey(call(), {}))).not.toBe('no error')
  const [left] = await fixture.store.listKeysInState('Creating', { limit: 10 })
  if (!left) throw new Error('the creation left no row')
  return left
}

/** Dies between the row and the token. */
const beforeTheToken = () => {
  const createMasterKey = fixture.provider.createMasterKey.bind(fixture.provider)
  fixture.provider.createMasterKey = () => {
    fixture.provider.createMasterKey = createMasterKey
    return Promise.reject(GONE)
  }
}

/** Dies between the token and the second row. */
const afterTheToken = () => {
  const replaceKey = fixture.store.replaceKey.bind(fixture.store)
  fixture.store.replaceKey = () => {
    fixture.store.replaceKey = replaceKey
    return Promise.reject(new Error('the process died here'))
  }
}

describe('a creation that was cut short', () => {
  it('is seen by nobody until maintenance has settled it', async () => {
    const left = await cutOffCreation(afterTheToken)
    expect(await codeOf(fixture.kms.describeKey(call(), byId(left)))).toBe('KEY_NOT_FOUND')
    expect((await fixture.kms.listKeys(call(), { limit: 100 })).rows.map(({ keyId }) => keyId)).toEqual([
      key.keyId,
    ])
  })

  it('is rolled back where the token has nothing of it', async () => {
    const left = await cutOffCreation(beforeTheToken)
    expect(await fixture.maintenance.run(left.createdAt)).toEqual(NOTHING)
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, rolledBack: 1 })
    expect(await codeOf(fixture.kms.describeKey(call(), byId(left)))).toBe('KEY_NOT_FOUND')
    expect((await fixture.store.getKey(left.region, left.keyId))?.state).toBe('Deleted')
  })

  it('is finished where the token has it whole: a restored backup may show a key so that was acknowledged since', async () => {
    const left = await cutOffCreation(afterTheToken)
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, finished: 1 })
    expect(destructions()).toBe(0)
    expect(
      (await fixture.kms.generateDataKey(call(), { key: byId(left), lengthBytes: 32 })).plaintext,
    ).toHaveLength(32)
  })

  it('is neither finished nor destroyed where its objects are altered, until somebody mends them', async () => {
    const left = await cutOffCreation(afterTheToken)
    const { altered } = fixture.provider
    altered.add(left.primaryVersionId)
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, failed: 1 })
    expect(destructions()).toBe(0)
    expect(fixture.logged.at(-1)?.message).toContain('its objects are altered')
    altered.clear()
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, finished: 1 })
  })

  it('waits for a token that is away', async () => {
    await cutOffCreation(beforeTheToken)
    fixture.provider.failWith = GONE
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, failed: 1 })
    fixture.provider.failWith = undefined
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, rolledBack: 1 })
    expect(fixture.logged.map(({ message }) => message)).toContain(
      'could not tend a key; the next round tries again',
    )
  })

  it('that maintenance finished first is a success for its caller too', async () => {
    const { store, maintenance, kms } = fixture
    const replaceKey = store.replaceKey.bind(store)
    let raced = false
    store.replaceKey = async (next) => {
      if (!raced) {
        raced = true
        await maintenance.run(later())
      }
      return replaceKey(next)
    }
    const made = await kms.createKey(call(), {})
    expect(made.state).toBe('Enabled')
    expect(raced).toBe(true)
  })
})

describe('a key whose deletion window has ended', () => {
  const scheduleAndWait = async () => {
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    fixture.clock.advance(7 * DAY_MS + 1)
  }

  it('is not destroyed a millisecond before', async () => {
    const pending = await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    const { clock, maintenance } = fixture
    const now = pending.deletionAt ?? 0
    clock.now = () => now - 1
    await maintenance.run(0)
    clock.advance(2 * GRACE_MS)
    expect(await maintenance.run(0)).toEqual(NOTHING)
    clock.now = () => now
    expect(await maintenance.run(0)).toEqual(NOTHING)
    clock.advance(GRACE_MS)
    expect(await maintenance.run(0)).toEqual({ ...NOTHING, destroyed: 1 })
  })

  it('is destroyed after a grace in which it can still be saved', async () => {
    await scheduleAndWait()
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    expect(fixture.logged.map(({ message }) => message)).toContain(
      'a key will be destroyed: its deletion window has ended',
    )
    fixture.clock.advance(GRACE_MS - 1000)
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    await fixture.kms.cancelKeyDeletion(call(), key.keyId)
    fixture.clock.advance(2 * GRACE_MS)
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    expect(destructions()).toBe(0)
  })

  it('is not destroyed at once by a clock that jumps, nor by a new process', async () => {
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    const now = fixture.clock.now()
    fixture.clock.now = () => now + 400 * DAY_MS
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    fixture.clock.now = () => now
    fixture.clock.advance(2 * GRACE_MS)
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    expect(destructions()).toBe(0)
  })

  it('leaves its aliases with it, and answers that it does not exist', async () => {
    const { kms, clock, maintenance } = fixture
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    await kms.createAlias(call(), 'alias/doomed', byId(key))
    await scheduleAndWait()
    await maintenance.run(0)
    clock.advance(GRACE_MS)
    expect((await maintenance.run(0)).destroyed).toBe(1)
    expect(destructions()).toBe(1)
    expect(await codeOf(kms.cancelKeyDeletion(call(), key.keyId))).toBe('KEY_NOT_FOUND')
    const named = { kind: 'alias', alias: 'alias/doomed' } as const
    expect(await codeOf(kms.describeKey(call(), named))).toBe('ALIAS_NOT_FOUND')
    expect(await codeOf(kms.decrypt(call(), { blob }))).toBe('CIPHERTEXT_KEY_INACCESSIBLE')
  })

  it('is spared when the claim is lost to somebody who saved it', async () => {
    await scheduleAndWait()
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS)
    const { store } = fixture
    const listKeysInState = store.listKeysInState.bind(store)
    store.listKeysInState = async (state, page) => {
      const rows = await listKeysInState(state, page)
      if (state === 'PendingDeletion') await fixture.kms.cancelKeyDeletion(call(), key.keyId)
      return rows
    }
    expect(await fixture.maintenance.run(0)).toEqual(NOTHING)
    expect(destructions()).toBe(0)
    expect((await store.getKey(key.region, key.keyId))?.state).toBe('Disabled')
  })

  it('is destroyed to the end after the token cut it short', async () => {
    await scheduleAndWait()
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS)
    fixture.provider.failWith = GONE
    expect(await fixture.maintenance.run(0)).toEqual({ ...NOTHING, failed: 1 })
    expect(await codeOf(fixture.kms.cancelKeyDeletion(call(), key.keyId))).toBe('KEY_NOT_FOUND')
    fixture.provider.failWith = undefined
    expect(await fixture.maintenance.run(0)).toEqual({ ...NOTHING, destroyed: 1 })
    expect((await fixture.store.listKeysInState('Deleted', { limit: 10 })).map(({ keyId }) => keyId)).toEqual(
      [key.keyId],
    )
  })
})

describe('a round', () => {
  const cutOffMany = async (count: number, token = key.token, idStart = '') => {
    const [version] = key.versions
    for (let i = 0; i < count; i++) {
      const keyId = idStart + crypto.randomUUID().slice(idStart.length)
      const versionId = crypto.randomUUID()
      await fixture.store.createKey({
        ...key,
        keyId,
        token,
        state: 'Creating',
        revision: 1,
        versions: [{ versionId, number: 1, createdAt: version?.createdAt ?? 0 }],
        primaryVersionId: versionId,
      })
    }
  }

  it('goes through any number of keys', async () => {
    await cutOffMany(230)
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, rolledBack: 230 })
  })

  it('gives up the keys of a token that does not answer, and tends those of the others', async () => {
    await cutOffMany(120, 'dead', '00000000')
    await cutOffMany(3, 'main', 'ffffffff')
    const { provider } = fixture
    const asked: string[] = []
    const findMasterKey = provider.findMasterKey.bind(provider)
    provider.findMasterKey = (ref, options) => {
      asked.push(ref.token)
      return ref.token === 'dead' ? Promise.reject(GONE) : findMasterKey(ref, options)
    }
    expect(await fixture.maintenance.run(later())).toEqual({ ...NOTHING, rolledBack: 3, failed: 5 })
    expect(asked.filter((token) => token === 'dead')).toHaveLength(5)
  })

  it('ends early where the token does not answer, and where it is told to', async () => {
    await cutOffMany(30)
    fixture.provider.failWith = GONE
    expect((await fixture.maintenance.run(later())).failed).toBe(5)
    fixture.provider.failWith = undefined
    const stop = new AbortController()
    const destroy = fixture.provider.destroyMasterKey.bind(fixture.provider)
    fixture.provider.destroyMasterKey = (ref, options) => {
      stop.abort()
      return destroy(ref, options)
    }
    expect((await fixture.maintenance.run(later(), stop.signal)).rolledBack).toBe(1)
  })
})

describe('creation under load', () => {
  it('is refused past a bound, before a row is written, and per account before that', async () => {
    const { kms, store, provider } = fixture
    const release = Promise.withResolvers<void>()
    const createMasterKey = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async (ref, options) => {
      await release.promise
      return createMasterKey(ref, options)
    }
    const calls = Array.from({ length: 20 }, () => codeOf(kms.createKey(call(), {})))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await store.listKeysInState('Creating', { limit: 100 })).toHaveLength(8)
    release.resolve()
    const codes = await Promise.all(calls)
    expect(codes.filter((code) => code === 'no error')).toHaveLength(8)
    expect(codes.filter((code) => code === 'TOKEN_TIMEOUT')).toHaveLength(12)
    expect(await codeOf(kms.createKey(call(), {}))).toBe('no error')
  })

  it('leaves no row while the token is away', async () => {
    fixture.provider.failWith = GONE
    expect(await codeOf(fixture.kms.createKey(call(), {}))).toBe('TOKEN_UNAVAILABLE')
    expect(await fixture.store.listKeysInState('Creating', { limit: 10 })).toEqual([])
  })
})
