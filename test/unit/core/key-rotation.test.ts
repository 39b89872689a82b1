import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { KeyDirectory } from '../../../src/core/key-directory.ts'
import { call } from '../../support/kms-fixture.ts'
import { rotationFixture } from '../../support/rotation-fixture.ts'

const MAKING_MS = 60_001
const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })

let fixture: Awaited<ReturnType<typeof rotationFixture>>
beforeEach(async () => {
  fixture = await rotationFixture()
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

const messages = () => fixture.logged.map(({ message }) => message)

describe('a key whose version has sealed enough', () => {
  it('gets a new primary version that seals from then on, and opens what it sealed before', async () => {
    const blobs = await fixture.makeDue()
    await fixture.rotation.run()
    const rotated = await fixture.now()
    expect(rotated.versions.map(({ number }) => number)).toEqual([1, 2])
    expect(rotated.versions[0]).toEqual(fixture.key.versions[0])
    expect(rotated.primaryVersionId).toBe(rotated.versions[1]?.versionId)
    expect(rotated.pendingVersion).toBeUndefined()
    const { blob, version } = await fixture.seal()
    expect(version.versionId).toBe(rotated.primaryVersionId)
    for (const old of [...blobs, blob]) expect(await fixture.open(old)).toBe('x')
    expect(fixture.rotation.counts).toEqual({ ok: 1, failed: 0 })
    expect(messages()).toEqual(
      expect.arrayContaining([
        expect.stringContaining('due for rotation'),
        expect.stringContaining('rotated a key'),
      ]),
    )
  })

  it('is left alone before, and once it was rotated', async () => {
    await fixture.seal()
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(1)
    await fixture.makeDue()
    await fixture.rotation.run()
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(2)
  })

  it('seals for ever, one version after the other', async () => {
    const versions = new Set<string>()
    const blobs: Buffer[] = []
    for (let seals = 0; seals < 200; seals++) {
      const { blob, version } = await fixture.seal()
      versions.add(version.versionId)
      blobs.push(blob)
      if (seals % 8 === 0) await fixture.rotation.run()
    }
    expect(versions.size).toBeGreaterThan(10)
    for (const blob of blobs) expect(await fixture.open(blob)).toBe('x')
  })

  it('is rotated once by however many processes see it', async () => {
    await fixture.makeDue()
    const processes = Array.from({ length: 6 }, () => fixture.otherProcess())
    await Promise.all(processes.map((rotation) => rotation.run()))
    expect((await fixture.now()).versions).toHaveLength(2)
    expect(processes.reduce((sum, { counts }) => sum + counts.ok, 0)).toBe(1)
    expect(fixture.inToken.size).toBe(2)
  })

  it.each([
    ['disabled', () => fixture.kms.disableKey(call(), fixture.key.keyId)],
    ['pending deletion', () => fixture.kms.scheduleKeyDeletion(call(), fixture.key.keyId, 7)],
  ])('is not rotated while it is %s', async (_, change) => {
    await fixture.makeDue()
    await change()
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(1)
    expect(fixture.rotation.counts).toEqual({ ok: 0, failed: 0 })
  })

  it('seals on while it cannot be rotated, is refused at its bound, decrypts on, and seals once it could be', async () => {
    const { provider, rotation, clock } = fixture
    const create = provider.createMasterKey.bind(provider)
    provider.createMasterKey = () => Promise.reject(GONE)
    const { blob } = await fixture.seal()
    let sealed = 1
    for (; (await codeOf(fixture.seal())) === 'done'; sealed++) if (sealed % 10 === 0) await rotation.run()
    expect(sealed).toBe(40)
    expect(await codeOf(fixture.seal())).toBe('KEY_EXHAUSTED')
    expect(await fixture.open(blob)).toBe('x')
    expect(rotation.counts).toEqual({ ok: 0, failed: 1 })
    expect(messages()).toEqual(expect.arrayContaining([expect.stringContaining('could not rotate a key')]))
    clock.advance(MAKING_MS)
    await rotation.run()
    expect(rotation.counts.failed).toBe(2)
    provider.createMasterKey = create
    clock.advance(MAKING_MS)
    await rotation.run()
    expect(await codeOf(fixture.seal())).toBe('done')
    expect(await fixture.open(blob)).toBe('x')
  })

  it('costs no row while the token is away', async () => {
    await fixture.makeDue()
    const before = await fixture.now()
    fixture.provider.failWith = GONE
    await fixture.rotation.run()
    expect(await fixture.now()).toEqual(before)
    fixture.provider.failWith = undefined
    await fixture.rotation.run()
    expect((await fixture.now()).versions).toHaveLength(2)
  })

  it('is said to be of an old store where the token has a later version of it', async () => {
    await fixture.makeDue()
    fixture.provider.createMasterKey = () =>
      Promise.reject(
        new KmsError('ALREADY_EXISTS', 'The token already holds that key.', { keyId: fixture.key.keyId }),
      )
    await fixture.rotation.run()
    expect(fixture.logged.at(-1)?.fields['hint']).toContain('older backup')
  })

  it('is rotated although another token is away whose keys come first', async () => {
    await fixture.makeDue()
    for (let dead = 0; dead < 7; dead++) {
      const versionId = crypto.randomUUID()
      const keyId = `00000000${crypto.randomUUID().slice(8)}`
      const versions = [{ versionId, number: 1, createdAt: 0 }]
      await fixture.store.createKey({
        ...fixture.key,
        keyId,
        token: 'dead',
        revision: 1,
        versions,
        primaryVersionId: versionId,
      })
      await fixture.store.leaseInvocations(versionId, 20, 40)
    }
    const { provider } = fixture
    const checkHealth = provider.checkHealth.bind(provider)
    provider.checkHealth = (token, ref, options) =>
      token === 'dead' ? Promise.reject(GONE) : checkHealth(token, ref, options)
    await fixture.rotation.run()
    expect(fixture.rotation.counts).toEqual({ ok: 1, failed: 5 })
    expect((await fixture.now()).versions).toHaveLength(2)
  })

  it('is the last one tried in a round when the token does not answer for five in a row', async () => {
    for (let more = 0; more < 7; more++) {
      const { primaryVersionId } = await fixture.kms.createKey(call(), {})
      await fixture.store.leaseInvocations(primaryVersionId, 20, 40)
    }
    fixture.provider.failWith = GONE
    await fixture.rotation.run()
    expect(fixture.rotation.counts.failed).toBe(5)
  })
})

describe('another process', () => {
  it('opens what the new version sealed although it has the row of before', async () => {
    const directory = new KeyDirectory(fixture.store, fixture.clock, { maxAgeMs: 60_000, entriesMax: 10 })
    const other = fixture.kmsWith(directory)
    const [old] = await fixture.makeDue()
    if (!old) throw new Error('nothing was sealed')
    expect((await other.decrypt(call(), { blob: old })).plaintext.toString()).toBe('x')
    await fixture.rotation.run()
    const { blob } = await fixture.seal()
    expect((await other.decrypt(call(), { blob })).plaintext.toString()).toBe('x')
  })
})
