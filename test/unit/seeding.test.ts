import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import type { SeedKey } from '../../src/config/seed-schema.ts'
import { KmsError } from '../../src/core/errors.ts'
import type { CreateKeyInput } from '../../src/core/ops/create-key.ts'
import { type MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { Seeding } from '../../src/seeding.ts'
import { ALICE, call, kmsFixture, MALLORY } from '../support/kms-fixture.ts'

const KEY_ID = '11111111-2222-4333-8444-555555555555'
const POLICY =
  '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}}'
const asked = (more: Partial<SeedKey> = {}): SeedKey => ({
  path: 'seed.keys.0',
  keyId: KEY_ID,
  accountId: ALICE.accountId,
  region: ALICE.region,
  description: 'payments',
  aliases: ['alias/payments'],
  spec: 'SYMMETRIC_DEFAULT',
  usage: 'ENCRYPT_DECRYPT',
  tags: [{ key: 'team', value: 'payments' }],
  policy: POLICY,
  ...more,
})
const byId = { kind: 'id', keyId: KEY_ID } as const

const open: Seeding[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((seeding) => seeding.stop()))
})

type Fixture = ReturnType<typeof kmsFixture>

function seedingOn({ kms, store }: Fixture, ...keys: SeedKey[]) {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    {},
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  )
  const seeding = new Seeding({ kms, store, log }, keys.length > 0 ? keys : [asked()])
  open.push(seeding)
  return { seeding, lines }
}

async function seed(fixture: Fixture, ...keys: SeedKey[]) {
  const { seeding, lines } = seedingOn(fixture, ...keys)
  await seeding.check()
  seeding.start()
  await seeding.done
  return lines
}

describe('a seed', () => {
  it('makes keys of its ids, with aliases, and is ready when they are there', async () => {
    const fixture = kmsFixture()
    const { seeding } = seedingOn(fixture)
    expect(await seeding.health()).toMatchObject({ ok: false })
    seeding.start()
    await seeding.done
    expect(await seeding.health()).toBeUndefined()
    const { blob, plaintext } = await fixture.kms.generateDataKey(call(), {
      key: { kind: 'alias', alias: 'alias/payments' },
      lengthBytes: 32,
    })
    const opened = await fixture.kms.decrypt(call(), { blob })
    expect(opened.plaintext).toEqual(plaintext)
    expect(opened.key).toMatchObject({ keyId: KEY_ID, description: 'payments', state: 'Enabled' })
    const tags = await fixture.kms.listResourceTags(call(), KEY_ID, { limit: 10 })
    expect(tags.rows).toEqual([{ key: 'team', value: 'payments' }])
    expect(await fixture.kms.getKeyPolicy(call(), KEY_ID, 'AWS')).toBe(POLICY)
  })

  it('makes key pairs and MAC keys, and refuses a key that is of another kind', async () => {
    const fixture = kmsFixture()
    const pair = asked({ spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' })
    const mac = { keyId: '22222222-2222-4333-8444-555555555555', aliases: [] }
    await seed(fixture, pair, asked({ ...mac, spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' }))
    const key = await fixture.kms.describeKey(call(), byId)
    expect(key).toMatchObject({ spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY', state: 'Enabled' })
    expect(key.versions[0]?.publicKey).toBeDefined()
    await expect(seedingOn(fixture).seeding.check()).rejects.toMatchObject({
      problems: [{ path: 'seed.keys.0.keyId', message: expect.stringContaining('ECC_NIST_P256') }],
    })
  })

  it('makes primary keys of several regions', async () => {
    const fixture = kmsFixture()
    const keyId = 'mrk-0123456789abcdef0123456789abcdef'
    await seed(fixture, asked({ keyId }))
    const key = await fixture.kms.describeKey(call(), { kind: 'id', keyId })
    expect(key).toMatchObject({ keyId, multiRegion: 'PRIMARY', state: 'Enabled' })
  })

  it('changes nothing when it is there already, whatever became of it, and tells what differs', async () => {
    const fixture = kmsFixture()
    await seed(fixture)
    const before = await fixture.store.getKey(ALICE.region, KEY_ID)
    expect((await seed(fixture)).map(({ msg }) => msg)).toEqual(['the keys of the seed are there'])
    expect(await fixture.store.getKey(ALICE.region, KEY_ID)).toEqual(before)
    const other = await fixture.kms.createKey(call(), {})
    await fixture.kms.updateAlias(call(), 'alias/payments', { kind: 'id', keyId: other.keyId })
    await fixture.kms.disableKey(call(), KEY_ID)
    const lines = await seed(fixture)
    expect(lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining('is otherwise than asked'),
      expect.stringContaining('is of another key'),
      'the keys of the seed are there',
    ])
    expect((await fixture.kms.describeKey(call(), byId)).state).toBe('Disabled')
    expect((await fixture.store.getAlias(ALICE.accountId, ALICE.region, 'alias/payments'))?.keyId).toBe(
      other.keyId,
    )
  })

  it('serves although a key of it is about to be deleted and takes no alias', async () => {
    const fixture = kmsFixture()
    await seed(fixture, asked({ aliases: [] }))
    await fixture.kms.scheduleKeyDeletion(call(), KEY_ID, 7)
    const lines = await seed(fixture)
    expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('takes none'))
    expect((await fixture.kms.describeKey(call(), byId)).state).toBe('PendingDeletion')
  })

  it('is refused, key by key, where an id is another account’s or of a key that was destroyed', async () => {
    const fixture = kmsFixture()
    await seed(fixture)
    const { seeding } = seedingOn(
      fixture,
      asked({ accountId: MALLORY.accountId }),
      asked({ path: 'seed.keys.1', keyId: '22222222-2222-4333-8444-555555555555' }),
    )
    await expect(seeding.check()).rejects.toMatchObject({
      problems: [{ path: 'seed.keys.0.keyId', message: expect.stringContaining('another account') }],
    })
    const ensured = fixture.kms.ensureKey(call(MALLORY), { keyId: KEY_ID })
    await expect(ensured).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await fixture.kms.scheduleKeyDeletion(call(), KEY_ID, 7)
    fixture.clock.advance(8 * 86_400_000)
    await fixture.maintenance.run(0)
    fixture.clock.advance(3_600_001)
    expect(await fixture.maintenance.run(0)).toMatchObject({ destroyed: 1 })
    await expect(seedingOn(fixture).seeding.check()).rejects.toMatchObject({
      problems: [{ path: 'seed.keys.0.keyId', message: expect.stringContaining('destroyed') }],
    })
    await expect(fixture.kms.ensureKey(call(), { keyId: KEY_ID })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    })
  })

  it('tries again while the token is away, and says so', async () => {
    const fixture = kmsFixture()
    const { provider } = fixture
    const real = provider.checkHealth.bind(provider)
    let isAway = true
    provider.checkHealth = async (...args) => {
      if (isAway) throw new KmsError('TOKEN_UNAVAILABLE', 'The token is away.', { token: 'main' })
      await real(...args)
    }
    const { seeding, lines } = seedingOn(fixture)
    seeding.start()
    await expect.poll(() => lines.length).toBeGreaterThan(0)
    expect((await seeding.health())?.reason).toMatch(/seed\.keys\.0.*The token is away/)
    isAway = false
    await seeding.done
    expect((await fixture.kms.describeKey(call(), byId)).state).toBe('Enabled')
  })

  it('of another process is looked for, not made', async () => {
    const fixture = kmsFixture()
    const looking = seedingOn(fixture).seeding
    expect(await looking.health()).toMatchObject({ ok: false })
    await seed(fixture)
    expect(await looking.health()).toBeUndefined()
    await looking.done
  })
})

describe('a key of the seed whose creation was cut short', () => {
  /** Dies after the row, or after the objects. */
  async function cutShort(
    fixture: Fixture,
    after: 'row' | 'objects',
    kind: Pick<CreateKeyInput, 'spec' | 'usage'> = {},
  ): Promise<void> {
    const { provider, kms } = fixture
    const real = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async (...args) => {
      if (after !== 'row') await real(...args)
      throw new KmsError('TOKEN_UNAVAILABLE', 'Cut short.', { token: 'main' })
    }
    await expect(kms.ensureKey(call(), { keyId: KEY_ID, ...kind })).rejects.toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
    })
    provider.createMasterKey = real
  }

  it.each(['row', 'objects'] as const)(
    'after its %s is finished, with the objects that there are',
    async (after) => {
      const fixture = kmsFixture()
      await cutShort(fixture, after)
      expect(await fixture.store.getKey(ALICE.region, KEY_ID)).toMatchObject({ state: 'Creating' })
      await seed(fixture)
      const { blob } = await fixture.kms.generateDataKey(call(), { key: byId, lengthBytes: 32 })
      expect((await fixture.kms.decrypt(call(), { blob })).key.keyId).toBe(KEY_ID)
      expect(await fixture.maintenance.run(Date.now() + 1)).toMatchObject({ rolledBack: 0, finished: 0 })
    },
  )

  it.each(['row', 'objects'] as const)(
    'after its %s is finished as the key pair that it is',
    async (after) => {
      const fixture = kmsFixture()
      const pair = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
      await cutShort(fixture, after, pair)
      await seed(fixture, asked(pair))
      const key = await fixture.kms.describeKey(call(), byId)
      expect(key.versions[0]?.publicKey).toBeDefined()
    },
  )

  it('is not rolled back when the token was too slow, or unable: the id would never come back', async () => {
    const fixture = kmsFixture()
    const { provider, kms, store } = fixture
    const real = provider.createMasterKey.bind(provider)
    provider.createMasterKey = async () => {
      throw new KmsError('UNSUPPORTED', 'The token cannot.', {})
    }
    await expect(kms.ensureKey(call(), { keyId: KEY_ID })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await store.getKey(ALICE.region, KEY_ID)).toMatchObject({ state: 'Creating' })
    provider.createMasterKey = real
    const late = { ...call(), deadlineAt: Date.now() + 30 }
    const slow = '22222222-2222-4333-8444-555555555555'
    provider.createMasterKey = async (...args) => {
      const made = await real(...args)
      await sleep(60)
      return made
    }
    await kms.ensureKey(late, { keyId: slow }).catch(() => undefined)
    await expect.poll(async () => (await store.getKey(ALICE.region, slow))?.state).toBe('Enabled')
  })

  it('half of its objects is made anew', async () => {
    const fixture = kmsFixture()
    await cutShort(fixture, 'objects')
    const { provider } = fixture
    const destroyed: MasterKeyRef[] = []
    const [find, destroy] = [provider.findMasterKey.bind(provider), provider.destroyMasterKey.bind(provider)]
    provider.findMasterKey = async (ref, options) =>
      destroyed.length > 0 ? await find(ref, options) : 'partial'
    provider.destroyMasterKey = async (ref, options) => {
      destroyed.push(ref)
      await destroy(ref, options)
    }
    await seed(fixture)
    expect(destroyed).toHaveLength(1)
    expect((await fixture.kms.describeKey(call(), byId)).state).toBe('Enabled')
  })

  it('waits for the operator where its objects are altered', async () => {
    const fixture = kmsFixture()
    await cutShort(fixture, 'objects')
    fixture.provider.findMasterKey = async () => 'altered'
    const ensured = fixture.kms.ensureKey(call(), { keyId: KEY_ID })
    await expect(ensured).rejects.toMatchObject({ code: 'KEY_STATE_INVALID' })
  })

  it('is not made twice where an earlier attempt still makes it', async () => {
    const fixture = kmsFixture()
    await cutShort(fixture, 'objects')
    fixture.provider.findMasterKey = async () => 'absent'
    await expect(fixture.kms.ensureKey(call(), { keyId: KEY_ID })).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
