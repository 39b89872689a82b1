import { beforeEach, describe, expect, it } from 'vitest'
import { ciphertextInvalid, KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { ALICE, call, GRACE_MS, kmsFixture, MALLORY } from '../../support/kms-fixture.ts'

type Fixture = ReturnType<typeof kmsFixture>

const byId = (key: MasterKey) => ({ kind: 'id', keyId: key.keyId }) as const
const context = (pairs: Readonly<Record<string, string>>) => new Map(Object.entries(pairs))

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'no error'
  } catch (error) {
    return error instanceof KmsError ? error.code : `not a KmsError: ${String(error)}`
  }
}

let fixture: Fixture
let key: MasterKey

beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), { description: 'payments' })
})

describe('data keys', () => {
  it('GenerateDataKey returns a blob that Decrypt opens to the very same plaintext', async () => {
    const { kms } = fixture
    const dataKey = await kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 })
    expect(dataKey.plaintext).toHaveLength(32)
    const opened = await kms.decrypt(call(), { blob: dataKey.blob })
    expect(opened.plaintext).toEqual(dataKey.plaintext)
    expect(opened.key.keyId).toBe(key.keyId)
  })

  it.each([1, 16, 33, 1024])(
    'GenerateDataKeyWithoutPlaintext seals %i bytes that Decrypt opens',
    async (lengthBytes) => {
      const sealed = await fixture.kms.generateDataKeyWithoutPlaintext(call(), {
        key: byId(key),
        lengthBytes,
      })
      expect((await fixture.kms.decrypt(call(), { blob: sealed.blob })).plaintext).toHaveLength(lengthBytes)
    },
  )

  it('ENV-7 refuses a blob with any one byte changed, cut short or extended, always with one text', async () => {
    const { kms } = fixture
    const encryptionContext = context({ purpose: 'test' })
    const { blob } = await kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32, encryptionContext })
    const variants = [
      ...Array.from(blob, (byte, i) => Buffer.from(blob).fill(byte ^ 0x01, i, i + 1)),
      ...Array.from(blob, (byte, i) => Buffer.from(blob).fill(byte ^ 0xff, i, i + 1)),
      ...Array.from(blob, (_, i) => blob.subarray(0, i)),
      Buffer.concat([blob, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), blob]),
    ]
    for (const variant of variants) {
      await expect(kms.decrypt(call(), { blob: variant, encryptionContext })).rejects.toMatchObject({
        code: 'CIPHERTEXT_INVALID',
        message: ciphertextInvalid().message,
      })
    }
    expect((await kms.decrypt(call(), { blob, encryptionContext })).plaintext).toHaveLength(32)
  })

  it('ENV-8 opens a blob only with the encryption context that it was made with', async () => {
    const { kms } = fixture
    const plaintext = Buffer.from('secret')
    const { blob } = await kms.encrypt(call(), {
      key: byId(key),
      plaintext,
      encryptionContext: context({ a: 'bc' }),
    })
    for (const other of [{ ab: 'c' }, { a: 'b' }, { a: 'bc', b: '' }, { A: 'bc' }, {}]) {
      const promise = kms.decrypt(call(), {
        blob,
        encryptionContext: context(other),
      })
      expect(await codeOf(promise)).toBe('CIPHERTEXT_INVALID')
    }
    expect((await kms.decrypt(call(), { blob, encryptionContext: context({ a: 'bc' }) })).plaintext).toEqual(
      plaintext,
    )
  })

  it('draws random bytes from the token', async () => {
    const [a, b] = [
      await fixture.kms.generateRandom(call(), 64),
      await fixture.kms.generateRandom(call(), 64),
    ]
    expect(a).toHaveLength(64)
    expect(a.equals(b)).toBe(false)
  })
})

describe('Decrypt and ReEncrypt', () => {
  it('refuse a ciphertext of another key than the one named', async () => {
    const { kms } = fixture
    const other = await kms.createKey(call(), {})
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    expect(await codeOf(kms.decrypt(call(), { blob, key: byId(other) }))).toBe('KEY_MISMATCH')
    expect((await kms.decrypt(call(), { blob, key: byId(key) })).plaintext.toString()).toBe('x')
  })

  it('ReEncrypt moves the same plaintext under another key and context', async () => {
    const { kms } = fixture
    const other = await kms.createKey(call(), {})
    const from = context({ from: '1' })
    const to = context({ to: '2' })
    const { blob } = await kms.encrypt(call(), {
      key: byId(key),
      plaintext: Buffer.from('x'),
      encryptionContext: from,
    })
    const moved = await kms.reEncrypt(call(), {
      blob,
      sourceEncryptionContext: from,
      destinationKey: byId(other),
      destinationEncryptionContext: to,
    })
    expect(moved.source.key.keyId).toBe(key.keyId)
    expect(moved.destination.key.keyId).toBe(other.keyId)
    const opened = await kms.decrypt(call(), { blob: moved.destination.blob, encryptionContext: to })
    expect(opened.plaintext.toString()).toBe('x')
  })

  it('ReEncrypt leaves nothing of the plaintext in memory, whether it succeeds or not', async () => {
    const { kms, provider } = fixture
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    const opened: Buffer[] = []
    const open = provider.open.bind(provider)
    provider.open = async (...args) => {
      const plaintext = await open(...args)
      opened.push(plaintext)
      return plaintext
    }
    await kms.reEncrypt(call(), { blob, destinationKey: byId(key) })
    provider.seal = () => Promise.reject(new Error('the token broke'))
    await expect(kms.reEncrypt(call(), { blob, destinationKey: byId(key) })).rejects.toThrow('broke')
    expect(opened).toEqual([Buffer.alloc(1), Buffer.alloc(1)])
  })

  it('ReEncrypt opens nothing when the destination cannot be used', async () => {
    const { kms, provider } = fixture
    const other = await kms.createKey(call(), {})
    await kms.disableKey(call(), other.keyId)
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    provider.calls.length = 0
    expect(await codeOf(kms.reEncrypt(call(), { blob, destinationKey: byId(other) }))).toBe(
      'KEY_STATE_INVALID',
    )
    expect(provider.calls).toEqual([])
  })
})

describe('accounts and regions', () => {
  it('hide a key from every other account and every other region', async () => {
    const { kms } = fixture
    await kms.createAlias(call(), 'alias/mine', byId(key))
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    for (const stranger of [MALLORY, { ...ALICE, region: 'eu-west-1' }]) {
      const them = () => call(stranger)
      expect(await codeOf(kms.describeKey(them(), byId(key)))).toBe('KEY_NOT_FOUND')
      expect(await codeOf(kms.generateDataKey(them(), { key: byId(key), lengthBytes: 32 }))).toBe(
        'KEY_NOT_FOUND',
      )
      expect(await codeOf(kms.describeKey(them(), { kind: 'alias', alias: 'alias/mine' }))).toBe(
        'ALIAS_NOT_FOUND',
      )
      expect(await codeOf(kms.decrypt(them(), { blob }))).toBe('CIPHERTEXT_KEY_INACCESSIBLE')
      expect(await codeOf(kms.scheduleKeyDeletion(them(), key.keyId, 7))).toBe('KEY_NOT_FOUND')
      expect(await codeOf(kms.deleteAlias(them(), 'alias/mine'))).toBe('ALIAS_NOT_FOUND')
      expect((await kms.listKeys(them(), { limit: 100 })).rows).toEqual([])
      expect((await kms.listAliases(them(), { limit: 100 })).rows).toEqual([])
    }
    expect((await kms.decrypt(call(), { blob })).plaintext.toString()).toBe('x')
  })
})

describe('key states', () => {
  it('keep a disabled key from every cryptographic operation until it is enabled again', async () => {
    const { kms } = fixture
    const { blob } = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') })
    expect((await kms.disableKey(call(), key.keyId)).state).toBe('Disabled')
    const refused = [
      kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') }),
      kms.decrypt(call(), { blob }),
      kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 }),
      kms.generateDataKeyWithoutPlaintext(call(), { key: byId(key), lengthBytes: 32 }),
      kms.reEncrypt(call(), { blob, destinationKey: byId(key) }),
    ]
    expect(await Promise.all(refused.map(codeOf))).toEqual(refused.map(() => 'KEY_STATE_INVALID'))
    await kms.enableKey(call(), key.keyId)
    expect((await kms.decrypt(call(), { blob })).plaintext.toString()).toBe('x')
  })

  it('bring a key that pends deletion back disabled, and refuse to cancel what is not pending', async () => {
    const { kms, clock } = fixture
    const pending = await kms.scheduleKeyDeletion(call(), key.keyId, 7)
    expect(pending.state).toBe('PendingDeletion')
    expect(Math.abs((pending.deletionAt ?? 0) - clock.now() - 7 * 86_400_000)).toBeLessThan(5000)
    expect(await codeOf(kms.enableKey(call(), key.keyId))).toBe('KEY_STATE_INVALID')
    expect(await codeOf(kms.scheduleKeyDeletion(call(), key.keyId, 7))).toBe('KEY_STATE_INVALID')
    const back = await kms.cancelKeyDeletion(call(), key.keyId)
    expect(back.state).toBe('Disabled')
    expect(back.deletionAt).toBeUndefined()
    expect(await codeOf(kms.cancelKeyDeletion(call(), key.keyId))).toBe('KEY_STATE_INVALID')
  })

  it('see every one of many changes made at the same time', async () => {
    const { kms } = fixture
    const changes = Array.from({ length: 6 }, (_, i) =>
      i % 2 === 0 ? kms.disableKey(call(), key.keyId) : kms.enableKey(call(), key.keyId),
    )
    const results = await Promise.all(changes)
    expect(results.every((result) => result.keyId === key.keyId)).toBe(true)
    expect(['Enabled', 'Disabled']).toContain((await kms.describeKey(call(), byId(key))).state)
  })
})

describe('aliases', () => {
  it('name a key in every operation, and follow UpdateAlias at once', async () => {
    const { kms } = fixture
    const other = await kms.createKey(call(), {})
    const named = { kind: 'alias', alias: 'alias/app' } as const
    await kms.createAlias(call(), 'alias/app', byId(key))
    expect(await codeOf(kms.createAlias(call(), 'alias/app', byId(other)))).toBe('ALREADY_EXISTS')
    expect((await kms.generateDataKey(call(), { key: named, lengthBytes: 32 })).key.keyId).toBe(key.keyId)
    await kms.updateAlias(call(), 'alias/app', byId(other))
    expect((await kms.generateDataKey(call(), { key: named, lengthBytes: 32 })).key.keyId).toBe(other.keyId)
    await kms.deleteAlias(call(), 'alias/app')
    expect(await codeOf(kms.describeKey(call(), named))).toBe('ALIAS_NOT_FOUND')
  })

  it('are deleted by their account alone, under authorization for a key that can be seen', async () => {
    const { kms } = fixture
    await kms.createAlias(call(), 'alias/app', byId(key))
    expect(await codeOf(kms.deleteAlias(call(MALLORY), 'alias/app'))).toBe('ALIAS_NOT_FOUND')
    const asked = call()
    await kms.deleteAlias(asked, 'alias/app')
    expect(asked.trail.keyId).toBe(key.keyId)
    expect(await codeOf(kms.deleteAlias(call(), 'alias/app'))).toBe('ALIAS_NOT_FOUND')
  })

  it('can be deleted while the token keeps their key from being destroyed', async () => {
    const { kms, provider, clock, maintenance } = fixture
    await kms.createAlias(call(), 'alias/app', byId(key))
    await kms.scheduleKeyDeletion(call(), key.keyId, 7)
    clock.advance(8 * 86_400_000)
    await maintenance.run(0)
    clock.advance(GRACE_MS)
    provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })
    await maintenance.run(0)
    const named = { kind: 'alias', alias: 'alias/app' } as const
    expect(await codeOf(kms.describeKey(call(), named))).toBe('KEY_NOT_FOUND')
    expect(await codeOf(kms.deleteAlias(call(MALLORY), 'alias/app'))).toBe('ALIAS_NOT_FOUND')
    await kms.deleteAlias(call(), 'alias/app')
    expect(await codeOf(kms.describeKey(call(), named))).toBe('ALIAS_NOT_FOUND')
  })

  it('are listed in pages that neither repeat nor miss one while others are created', async () => {
    const { kms } = fixture
    const names = Array.from({ length: 25 }, (_, i) => `alias/a${String(i).padStart(2, '0')}`)
    for (const name of names) await kms.createAlias(call(), name, byId(key))
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await kms.listAliases(call(), { key: byId(key), after, limit: 10 })
      seen.push(...page.rows.map((alias) => alias.name))
      await kms.createAlias(call(), `alias/0-${seen.length}`, byId(key))
      after = page.next
    } while (after !== undefined)
    expect(seen).toEqual(names)
  })
})

describe('the cache', () => {
  it('asks the store nothing for a key that is cached and fresh', async () => {
    const { kms, store } = fixture
    await kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 })
    let reads = 0
    const getKey = store.getKey.bind(store)
    store.getKey = (region, keyId) => {
      reads += 1
      return getKey(region, keyId)
    }
    for (let i = 0; i < 50; i++) await kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 })
    expect(reads).toBe(0)
    fixture.clock.advance(1001)
    await kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 })
    expect(reads).toBe(1)
  })

  it('sees what another process changed after cacheMaxAgeMs', async () => {
    const { kms, store, clock } = fixture
    await kms.describeKey(call(), byId(key))
    await store.replaceKey({ ...key, state: 'Disabled', revision: key.revision + 1 })
    clock.advance(1001)
    expect(await codeOf(kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 }))).toBe(
      'KEY_STATE_INVALID',
    )
  })
})
