import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { KeyVersion, MasterKey } from '../../../src/core/key.ts'
import { ALICE, call, kmsFixture, MALLORY, VERSION_INTERVAL_MS } from '../../support/kms-fixture.ts'

const PAIR = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const
const RSA = { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' } as const
const algorithm = 'ECDSA_SHA_256'
const OAEP = 'RSAES_OAEP_SHA_256'
const message = Buffer.from('message')
const AWAY = 'eu-central-1'

let fixture: ReturnType<typeof kmsFixture>
beforeEach(() => {
  fixture = kmsFixture()
})

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
const byId = ({ keyId }: MasterKey) => ({ kind: 'id', keyId }) as const
const add = (key: MasterKey, context = call(), waitMs = 0) =>
  fixture.kms.createKeyVersion(context, { key: byId(key), waitMs })
const stored = async ({ region, keyId }: MasterKey) => {
  const key = await fixture.store.getKey(region, keyId)
  if (!key) throw new Error('the key is gone')
  return key
}

/** A key pair whose initial version is old enough for another one. */
async function agedPair(input: Parameters<typeof fixture.kms.createKey>[1] = PAIR): Promise<MasterKey> {
  const key = await fixture.kms.createKey(call(), input)
  fixture.clock.advance(VERSION_INTERVAL_MS)
  return key
}

describe('another version of a key pair', () => {
  it('comes beside those before it with a public key of its own, and the primary version stays', async () => {
    const key = await agedPair()
    const { key: grown, version } = await add(key)
    expect(version.number).toBe(2)
    expect(version.createdAt - key.createdAt).toBeGreaterThanOrEqual(VERSION_INTERVAL_MS)
    expect(version.publicKey).not.toBe(key.versions[0]?.publicKey)
    expect(version.rotation).toBeUndefined()
    expect(grown.versions).toEqual([...key.versions, version])
    expect(grown.primaryVersionId).toBe(key.primaryVersionId)
    expect(await stored(key)).toEqual(grown)
    expect(grown.pendingVersion).toBeUndefined()
  })

  it('signs and verifies where it is named, and the initial one where none is', async () => {
    const key = await agedPair()
    const { version: second } = await add(key)
    const [first] = key.versions as [KeyVersion]
    const input = { key: byId(key), algorithm, kind: 'message', message } as const
    const signatureOf = async (versionId?: string) =>
      (await fixture.kms.sign(call(), { ...input, versionId })).signature
    const isOf = (signature: Buffer, versionId?: string) =>
      codeOf(fixture.kms.verify(call(), { ...input, signature, versionId }))
    const bySecond = await signatureOf(second.versionId)
    expect(await isOf(bySecond, second.versionId)).toBe('no error')
    expect(await isOf(bySecond, first.versionId)).toBe('SIGNATURE_INVALID')
    expect(await isOf(bySecond)).toBe('SIGNATURE_INVALID')
    const unnamed = await signatureOf()
    expect(await isOf(unnamed, first.versionId)).toBe('no error')
    expect(await isOf(unnamed, second.versionId)).toBe('SIGNATURE_INVALID')
    const { version } = await fixture.kms.sign(call(), { ...input, versionId: second.versionId })
    expect(version).toEqual(second)
  })

  it('tells its public key where it is named, and the initial one where none is', async () => {
    const key = await agedPair()
    const { version: second } = await add(key)
    const told = async (versionId?: string) => {
      const { publicKey, version } = await fixture.kms.getPublicKey(call(), byId(key), versionId)
      return [version.versionId, publicKey.toString('base64')]
    }
    const [first] = key.versions as [KeyVersion]
    expect(await told()).toEqual([first.versionId, first.publicKey])
    expect(await told(first.versionId)).toEqual([first.versionId, first.publicKey])
    expect(await told(second.versionId)).toEqual([second.versionId, second.publicKey])
  })

  it('encrypts and opens where it is named, and the initial one where none is', async () => {
    const key = await agedPair(RSA)
    const { version: second } = await add(key)
    const [first] = key.versions as [KeyVersion]
    const seal = (versionId?: string) =>
      fixture.kms.encrypt(call(), { key: byId(key), algorithm: OAEP, plaintext: message, versionId })
    const open = (blob: Buffer, versionId?: string) =>
      fixture.kms.decrypt(call(), { key: byId(key), algorithm: OAEP, blob, versionId })
    const sealed = await seal(second.versionId)
    expect(sealed.version).toEqual(second)
    expect(await open(sealed.blob, second.versionId)).toMatchObject({ plaintext: message, version: second })
    expect(await codeOf(open(sealed.blob))).toBe('CIPHERTEXT_INVALID')
    expect(await codeOf(open(sealed.blob, first.versionId))).toBe('CIPHERTEXT_INVALID')
    const unnamed = await seal()
    expect(unnamed.version).toEqual(first)
    expect((await open(unnamed.blob)).plaintext).toEqual(message)
    const destination = await fixture.kms.createKey(call(), {})
    const input = { sourceKey: byId(key), sourceAlgorithm: OAEP, destinationKey: byId(destination) }
    const move = (sourceVersionId?: string) =>
      fixture.kms.reEncrypt(call(), { ...input, blob: sealed.blob, sourceVersionId })
    expect(await codeOf(move())).toBe('CIPHERTEXT_INVALID')
    const moved = await move(second.versionId)
    expect(moved.source.version).toEqual(second)
    const { plaintext } = await fixture.kms.decrypt(call(), { blob: moved.destination.blob })
    expect(plaintext).toEqual(message)
  })

  it('of another key, or of none, is not found, before anything is done with it', async () => {
    const [key, other] = [await agedPair(RSA), await agedPair(RSA)]
    const signer = await agedPair()
    const sign = { key: byId(signer), algorithm, kind: 'message', message } as const
    const cipher = { key: byId(key), algorithm: OAEP }
    fixture.provider.calls.length = 0
    for (const versionId of [randomUUID(), other.primaryVersionId, '']) {
      const asked = [
        fixture.kms.sign(call(), { ...sign, versionId }),
        fixture.kms.sign({ ...call(), dryRun: true }, { ...sign, versionId }),
        fixture.kms.verify(call(), { ...sign, versionId, signature: message }),
        fixture.kms.getPublicKey(call(), byId(key), versionId),
        fixture.kms.encrypt(call(), { ...cipher, plaintext: message, versionId }),
        fixture.kms.decrypt(call(), { ...cipher, blob: Buffer.alloc(256), versionId }),
      ]
      for (const work of asked) expect(await codeOf(work)).toBe('KEY_VERSION_NOT_FOUND')
    }
    expect(fixture.provider.calls).toEqual([])
  })

  it('is made of a key that is named by its alias', async () => {
    const key = await agedPair()
    await fixture.kms.createAlias(call(), 'alias/signer', byId(key))
    const named = { kind: 'alias', alias: 'alias/signer' } as const
    const { key: grown } = await fixture.kms.createKeyVersion(call(), { key: named, waitMs: 0 })
    expect([grown.keyId, grown.versions.length]).toEqual([key.keyId, 2])
  })

  it('is there in every region of a key, and is made where its primary key is', async () => {
    const key = await agedPair({ ...PAIR, multiRegion: true })
    await fixture.kms.replicateKey(call(), { keyId: key.keyId, region: AWAY })
    const there = () => ({ ...call(), principal: { ...ALICE, region: AWAY } })
    // Each region has read the key before it grows.
    await fixture.kms.describeKey(there(), byId(key))
    expect(await codeOf(add(key, there()))).toBe('KEY_NOT_PRIMARY')
    const { key: grown, version } = await add(key)
    const away = await fixture.kms.describeKey(there(), byId(key))
    expect(away.versions).toEqual(grown.versions)
    const { versionId } = version
    const input = { key: byId(key), algorithm, kind: 'message', message, versionId } as const
    const { signature } = await fixture.kms.sign(there(), input)
    await fixture.kms.verify(call(), { ...input, signature })
    await fixture.kms.updatePrimaryRegion(call(), key.keyId, AWAY)
    fixture.clock.advance(VERSION_INTERVAL_MS)
    expect(await codeOf(add(key))).toBe('KEY_NOT_PRIMARY')
    const { key: twice } = await add(key, there())
    expect((await fixture.kms.describeKey(call(), byId(key))).versions).toEqual(twice.versions)
    expect(twice.versions).toHaveLength(3)
  })
})

describe('a request for another version', () => {
  it('is refused until seven days after the last one, which it tells', async () => {
    const { clock, kms } = fixture
    const key = await kms.createKey(call(), PAIR)
    for (const versions of [2, 3]) {
      const from = ((await stored(key)).versions.at(-1)?.createdAt ?? 0) + VERSION_INTERVAL_MS
      // The clock goes on meanwhile.
      clock.advance(VERSION_INTERVAL_MS - 5_000)
      await expect(add(key)).rejects.toMatchObject({
        code: 'KEY_VERSION_TOO_SOON',
        details: { keyId: key.keyId, from },
      })
      clock.advance(5_000)
      expect((await add(key)).key.versions).toHaveLength(versions)
    }
    clock.advance(-2 * VERSION_INTERVAL_MS)
    expect(await codeOf(add(key))).toBe('KEY_VERSION_TOO_SOON')
  })

  it('is refused of a key that has 50 versions', async () => {
    const key = await agedPair()
    const { publicKey } = key.versions[0] as KeyVersion
    let grown = key
    for (let number = 2; number <= 49; number++) {
      const version = { versionId: randomUUID(), number, createdAt: key.createdAt, publicKey }
      const next = { ...grown, versions: [...grown.versions, version] as KeyVersion[], revision: number + 1 }
      expect(await fixture.store.replaceKey(next)).toBe(true)
      grown = next
    }
    expect((await add(key)).version.number).toBe(50)
    fixture.clock.advance(VERSION_INTERVAL_MS)
    expect(await codeOf(add(key))).toBe('LIMIT_EXCEEDED')
    expect((await stored(key)).versions).toHaveLength(50)
  })

  it.each([
    ['symmetric', {}],
    ['for MACs', { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' }],
  ] as const)('is refused of a key that is %s', async (_, input) => {
    const key = await agedPair(input)
    expect(await codeOf(add(key))).toBe('KEY_NOT_ROTATABLE')
    expect((await stored(key)).versions).toHaveLength(1)
  })

  it('is refused of a key whose material is imported', async () => {
    const made = await agedPair()
    const keyId = randomUUID()
    const imported = { state: 'Imported', since: 1, canary: 'c' } as const
    const versions = made.versions.map((version) => ({ ...version, versionId: keyId, imported }))
    await fixture.store.createKey({
      ...made,
      keyId,
      versions,
      primaryVersionId: keyId,
      origin: 'EXTERNAL',
      revision: 1,
    })
    expect(await codeOf(add({ ...made, keyId }))).toBe('KEY_ORIGIN_INVALID')
  })

  it('is refused of a key that is disabled or pends deletion, or waits for material, and says so', async () => {
    const { kms } = fixture
    const key = await agedPair()
    await kms.disableKey(call(), key.keyId)
    await expect(add(key)).rejects.toMatchObject({
      code: 'KEY_STATE_INVALID',
      details: { state: 'Disabled' },
    })
    await kms.scheduleKeyDeletion(call(), key.keyId, 7)
    await expect(add(key)).rejects.toMatchObject({ details: { state: 'PendingDeletion' } })
    const blank = await kms.createKey(call(), { origin: 'EXTERNAL' })
    await expect(add(blank)).rejects.toMatchObject({ details: { state: 'PendingImport' } })
  })

  it('is refused to others than may use the key', async () => {
    const key = await agedPair()
    expect(await codeOf(add(key, call(MALLORY)))).toBe('KEY_NOT_FOUND')
    const limited = { ...ALICE, keyIds: new Set([randomUUID()]) }
    expect(await codeOf(add(key, call(limited)))).toBe('ACCESS_DENIED')
    expect(await codeOf(add({ ...key, keyId: randomUUID() }))).toBe('KEY_NOT_FOUND')
    expect((await stored(key)).versions).toHaveLength(1)
  })

  it('waits for the pair that the token makes, or is refused at once, and of two for one key one is done', async () => {
    const { kms, provider } = fixture
    const key = await agedPair()
    const create = provider.createMasterKey.bind(provider)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    provider.createMasterKey = async (ref, options) => {
      await held
      return create(ref, options)
    }
    const first = kms.createKey(call(), PAIR)
    expect(await codeOf(add(key))).toBe('TOKEN_BUSY')
    const waiting = [add(key, call(), 4_000), add(key, call(), 4_000)]
    // The version in the making of the one is seen by the other only once it is let in.
    release()
    await first
    const codes = await Promise.all(waiting.map(codeOf))
    expect(new Set(codes)).toEqual(new Set(['KEY_VERSION_TOO_SOON', 'no error']))
    expect((await stored(key)).versions).toHaveLength(2)
  })

  it('is refused while one is in the making', async () => {
    const { kms, provider } = fixture
    const key = await agedPair()
    const create = provider.createMasterKey.bind(provider)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    provider.createMasterKey = async (ref, options) => {
      begin()
      await held
      return create(ref, options)
    }
    const first = add(key)
    await begun
    expect(await codeOf(add(key, call(), 4_000))).toBe('ROTATION_IN_PROGRESS')
    // What is not of its versions may be changed meanwhile.
    await kms.updateKeyDescription(call(), key.keyId, 'changed')
    release()
    await first
    expect(await stored(key)).toMatchObject({ description: 'changed', versions: [{}, { number: 2 }] })
  })

  it('is done over where the key was changed by somebody else first', async () => {
    const { directory, kms, store } = fixture
    const key = await agedPair()
    const replaceKey = store.replaceKey.bind(store)
    store.replaceKey = async (next) => {
      store.replaceKey = replaceKey
      await kms.updateKeyDescription(call(), key.keyId, 'theirs')
      return replaceKey(next)
    }
    directory.forgetKey(key.region, key.keyId)
    const { key: grown } = await add(key)
    expect(grown).toMatchObject({ description: 'theirs', versions: [{}, { number: 2 }] })
  })
})
