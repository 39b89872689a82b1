import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { LastUses } from '../../../src/core/last-uses.ts'
import type { KeyUse, KeyUseStore } from '../../../src/core/ports/key-use-store.ts'
import { call } from '../../support/kms-fixture.ts'

const REGION = 'us-east-1'

/** A store that keeps batches, and fails while it is told to. */
class Batches implements KeyUseStore {
  readonly batches: (readonly KeyUse[])[] = []
  readonly kept = new Map<string, KeyUse>()
  failing = false
  onPut = async () => undefined as void

  async putKeyUses(uses: readonly KeyUse[]): Promise<void> {
    if (this.failing) throw new KmsError('STORE_UNAVAILABLE', 'away', {})
    await this.onPut()
    this.batches.push(uses)
    for (const use of uses) this.kept.set(use.keyId, use)
  }
  async getKeyUse(_region: string, keyId: string): Promise<KeyUse | undefined> {
    return this.kept.get(keyId)
  }
  async keyUsesSince(): Promise<number> {
    return 0
  }
}

describe('what keys were last used for', () => {
  let store: Batches
  let now: number
  let lastUses: LastUses
  beforeEach(() => {
    store = new Batches()
    now = 1000
    lastUses = new LastUses({ store, clock: { now: () => now, monotonic: () => now } })
  })

  const use = (keyId: string, operation: KeyUse['operation'] = 'Decrypt', requestId?: string) => {
    const context = { ...call(), ...(requestId !== undefined && { requestId }) }
    return lastUses.during(
      context,
      async ({ uses }) => void uses.push({ key: { region: REGION, keyId }, operation }),
    )
  }
  const get = (keyId: string) => lastUses.get({ region: REGION, keyId })

  it('is told at once, from memory, and nothing is written for it', async () => {
    await use('a', 'Encrypt', 'r')
    const noted = { region: REGION, keyId: 'a', operation: 'Encrypt', usedAt: 1000, requestId: 'r' }
    expect(await get('a')).toEqual(noted)
    expect(await get('b')).toBeUndefined()
    expect(store.batches).toEqual([])
    await lastUses.flush()
    expect(store.batches).toEqual([[noted]])
    expect(await get('a')).toEqual(noted)
  })

  it('is of a call that used keys, of each of them', async () => {
    await lastUses.during(call(), async () => undefined)
    const used = await lastUses.during(call(), async ({ uses, principal }) => {
      for (const keyId of ['a', 'b']) uses.push({ key: { region: REGION, keyId }, operation: 'ReEncrypt' })
      return principal
    })
    expect(used).toEqual(call().principal)
    await lastUses.flush()
    await lastUses.flush()
    expect(store.batches.map((batch) => batch.map(({ keyId }) => keyId))).toEqual([['a', 'b']])
  })

  it('is not of a call that failed, nor of one before it has succeeded', async () => {
    const failed = lastUses.during(call(), async ({ uses }) => {
      uses.push({ key: { region: REGION, keyId: 'a' }, operation: 'Decrypt' })
      expect(await get('a')).toBeUndefined()
      throw new KmsError('CIPHERTEXT_INVALID', 'no', {})
    })
    await expect(failed).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
    expect(await get('a')).toBeUndefined()
  })

  it('is the later of what this process noted and what another stored', async () => {
    await use('a')
    store.kept.set('a', { region: REGION, keyId: 'a', operation: 'Sign', usedAt: 1001 })
    expect(await get('a')).toMatchObject({ operation: 'Sign' })
    now = 1002
    await use('a')
    expect(await get('a')).toMatchObject({ operation: 'Decrypt', usedAt: 1002 })
  })

  it('is written once per key and interval, in batches', async () => {
    for (let n = 0; n < 450; n++) await use(`${n}`)
    for (let n = 0; n < 450; n++) await use(`${n}`, 'Sign')
    await lastUses.flush()
    expect(store.batches.map(({ length }) => length)).toEqual([200, 200, 50])
    expect(store.kept.get('0')).toMatchObject({ operation: 'Sign' })
  })

  it('waits while the store is away, and is written when it is back', async () => {
    await use('a')
    store.failing = true
    await expect(lastUses.flush()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    store.failing = false
    await lastUses.flush()
    expect(store.kept.has('a')).toBe(true)
  })

  it('is not lost when the key is used again while it is written', async () => {
    await use('a')
    store.onPut = async () => {
      store.onPut = async () => undefined
      now = 2000
      await use('a', 'Sign')
    }
    await lastUses.flush()
    await lastUses.flush()
    expect(store.kept.get('a')).toMatchObject({ operation: 'Sign', usedAt: 2000 })
  })

  it('takes bounded memory: past 100000 keys the one that waited longest is forgotten', async () => {
    for (let n = 0; n <= 100_000; n++) await use(`${n}`)
    expect(await get('0')).toBeUndefined()
    expect(await get('1')).toBeDefined()
    expect(await get('100000')).toBeDefined()
  })
})
