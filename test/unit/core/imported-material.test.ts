import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { tokenRef } from '../../../src/core/find-key.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { keyMaterialId } from '../../../src/core/material-id.ts'
import type { ImportInput } from '../../../src/core/ops/import-key-material.ts'
import type { WrappingAlgorithm } from '../../../src/core/ports/import-store.ts'
import { ALICE, call, GRACE_MS, kmsFixture, MALLORY } from '../../support/kms-fixture.ts'
import { wrapMaterial } from '../../support/wrap-material.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const GONE = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })

let fixture: ReturnType<typeof kmsFixture>
let key: MasterKey
let material: Buffer
beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
  material = randomBytes(32)
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

const parameters = (keyId = key.keyId, algorithm: WrappingAlgorithm = 'RSAES_OAEP_SHA_256') =>
  fixture.kms.getParametersForImport(call(), { keyId, algorithm, spec: 'RSA_2048', waitMs: 0 })

async function bring(bytes: Buffer, input: Partial<ImportInput> = {}) {
  const { importToken, publicKey } = await parameters()
  const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, bytes)
  return fixture.kms.importKeyMaterial(call(), { keyId: key.keyId, importToken, wrapped, ...input })
}

const remove = () => fixture.kms.deleteImportedKeyMaterial(call(), key.keyId, undefined)
const rotate = () => fixture.kms.rotateKeyOnDemand(call(), key.keyId)
const seal = async () =>
  (await fixture.kms.encrypt(call(), { key: { kind: 'id', keyId: key.keyId }, plaintext: Buffer.from('x') }))
    .blob
const open = async (blob: Buffer) => (await fixture.kms.decrypt(call(), { blob })).plaintext.toString()

async function now(): Promise<MasterKey> {
  const stored = await fixture.store.getKey(key.region, key.keyId)
  if (!stored) throw new Error('the key is gone')
  return stored
}
const states = async () => (await now()).versions.map(({ imported }) => imported?.state)
const inToken = async () => {
  const held: number[] = []
  const stored = await now()
  for (const version of stored.versions) {
    const ref = tokenRef(stored, version)
    if ((await fixture.provider.findMasterKey(ref, { deadlineAt: Date.now() + 1000 })) !== 'absent')
      held.push(version.number)
  }
  return held
}

describe('a key whose material is imported', () => {
  it('is of no use before, seals afterwards, and opens what it sealed when the same material comes again', async () => {
    expect([key.state, key.origin]).toEqual(['PendingImport', 'EXTERNAL'])
    expect(await codeOf(seal())).toBe('KEY_STATE_INVALID')
    expect((await bring(material)).key.state).toBe('Enabled')
    const blob = await seal()
    await remove()
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([])
    expect(await codeOf(open(blob))).toBe('KEY_STATE_INVALID')
    expect((await bring(material)).key.state).toBe('Enabled')
    expect(await open(blob)).toBe('x')
  })

  it('takes no other material in place of what it had, whether that is there or not', async () => {
    await bring(material)
    const blob = await seal()
    expect(await codeOf(bring(randomBytes(32)))).toBe('MATERIAL_INCORRECT')
    expect(await codeOf(bring(material, { type: 'NEW' }))).toBe('MATERIAL_INCORRECT')
    expect(await open(blob)).toBe('x')
    await remove()
    expect(await codeOf(bring(randomBytes(32)))).toBe('MATERIAL_INCORRECT')
    expect(await inToken()).toEqual([])
    expect(await codeOf(bring(randomBytes(32), { type: 'EXISTING' }))).toBe('MATERIAL_INCORRECT')
    await bring(material)
    expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1])
  })

  it('takes nothing for existing material that never had any', async () => {
    expect(await codeOf(bring(material, { type: 'EXISTING' }))).toBe('MATERIAL_INCORRECT')
    expect((await now()).state).toBe('PendingImport')
  })

  it('does not come in when it does not unwrap, and leaves nothing', async () => {
    const { importToken } = await parameters()
    const input = { keyId: key.keyId, importToken, wrapped: randomBytes(256) }
    expect(await codeOf(fixture.kms.importKeyMaterial(call(), input))).toBe('MATERIAL_UNREADABLE')
    expect(await codeOf(bring(randomBytes(16)))).toBe('MATERIAL_UNREADABLE')
    expect(await states()).toEqual(['PendingImport'])
    expect((await bring(material)).key.state).toBe('Enabled')
  })

  it('expires when its owner said so, is destroyed then, and comes back', async () => {
    await bring(material, { expiresAt: fixture.clock.now() + HOUR })
    const blob = await seal()
    await fixture.imports.run()
    expect(await open(blob)).toBe('x')
    fixture.clock.advance(HOUR)
    await fixture.imports.run()
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([])
    await bring(material)
    fixture.clock.advance(10 * HOUR)
    await fixture.imports.run()
    expect(await open(blob)).toBe('x')
  })

  it('is of no use to any operation from its very end on, whatever maintenance does, and comes back at once', async () => {
    await bring(material, { expiresAt: fixture.clock.now() + HOUR })
    const blob = await seal()
    const named = { key: { kind: 'id', keyId: key.keyId } } as const
    fixture.clock.advance(HOUR - 500)
    expect(await open(blob)).toBe('x')
    const { store } = fixture
    const read = store.getKey.bind(store)
    let reads = 0
    store.getKey = (...place) => {
      reads++
      return read(...place)
    }
    fixture.clock.advance(500)
    const refused = await Promise.all([
      codeOf(open(blob)),
      codeOf(seal()),
      codeOf(fixture.kms.generateDataKey(call(), { ...named, lengthBytes: 32 })),
      codeOf(fixture.kms.reEncrypt(call(), { blob, destinationKey: named.key })),
    ])
    expect(new Set(refused)).toEqual(new Set(['KEY_STATE_INVALID']))
    expect((await fixture.kms.describeKey(call(), named.key)).state).toBe('PendingImport')
    expect(reads).toBe(0)
    expect(await codeOf(fixture.kms.disableKey(call(), key.keyId))).toBe('KEY_STATE_INVALID')
    expect(await codeOf(fixture.kms.enableKey(call(), key.keyId))).toBe('KEY_STATE_INVALID')
    expect(await inToken()).toEqual([1])
    await bring(material)
    expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1])
  })

  it('that has expired is destroyed by a round also where another change of the key was first', async () => {
    await bring(material, { expiresAt: fixture.clock.now() + HOUR })
    fixture.clock.advance(HOUR)
    await fixture.kms.updateKeyDescription(call(), key.keyId, 'changed')
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([1])
    fixture.clock.advance(60_001)
    await fixture.imports.run()
    expect(await states()).toEqual(['PendingImport'])
    expect(await inToken()).toEqual([])
  })

  it('that has expired comes back at once also where another change of the key was first, or a crash', async () => {
    const comesBack = async () => {
      expect((await bring(material)).key.state).toBe('Enabled')
      expect(await inToken()).toEqual([1])
    }
    await bring(material, { expiresAt: fixture.clock.now() + HOUR })
    fixture.clock.advance(HOUR)
    await fixture.kms.updateKeyDescription(call(), key.keyId, 'changed')
    await comesBack()
    vi.spyOn(fixture.provider, 'destroyMasterKey').mockRejectedValueOnce(GONE)
    expect(await codeOf(remove())).toBe('TOKEN_UNAVAILABLE')
    await comesBack()
  })

  it('is not rotated to once it has expired while it waited', async () => {
    await bring(material)
    await bring(randomBytes(32), { type: 'NEW', expiresAt: fixture.clock.now() + HOUR })
    fixture.clock.advance(HOUR)
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    expect(await open(await seal())).toBe('x')
  })

  it('is of no use after its end while its token is away, however many keys wait for that', async () => {
    const ends = { expiresAt: fixture.clock.now() + HOUR }
    const keyIds: string[] = []
    for (let one = 1; one <= 7; one++) {
      key = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
      await bring(material, ends)
      keyIds.push(key.keyId)
    }
    fixture.clock.advance(HOUR + 1)
    fixture.provider.failWith = GONE
    await fixture.imports.run()
    for (const keyId of keyIds)
      expect((await fixture.store.getKey(key.region, keyId))?.state).toBe('PendingImport')
    fixture.provider.failWith = undefined
    fixture.clock.advance(60_001)
    await fixture.imports.run()
    expect(await inToken()).toEqual([])
  })

  it('has its end moved, or taken away, by an import of what is there', async () => {
    await bring(material, { expiresAt: fixture.clock.now() + HOUR })
    await bring(material, { expiresAt: fixture.clock.now() + 2 * HOUR, description: 'until two' })
    fixture.clock.advance(HOUR)
    await fixture.imports.run()
    expect((await now()).versions[0]?.imported?.description).toBe('until two')
    await bring(material)
    fixture.clock.advance(20 * HOUR)
    await fixture.imports.run()
    expect((await now()).state).toBe('Enabled')
    expect(await inToken()).toEqual([1])
  })

  it('has no end in the past', async () => {
    expect(await codeOf(bring(material, { expiresAt: fixture.clock.now() }))).toBe('REQUEST_INVALID')
  })

  it('stays disabled when what is there comes again, and comes back as it has to from a deletion', async () => {
    await bring(material)
    await fixture.kms.disableKey(call(), key.keyId)
    await bring(material)
    expect((await now()).state).toBe('Disabled')
    await remove()
    expect((await now()).state).toBe('PendingImport')
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    expect(await codeOf(bring(material))).toBe('KEY_STATE_INVALID')
    await fixture.kms.cancelKeyDeletion(call(), key.keyId)
    expect((await now()).state).toBe('PendingImport')
    await bring(material)
    await fixture.kms.scheduleKeyDeletion(call(), key.keyId, 7)
    await remove()
    expect((await now()).state).toBe('PendingDeletion')
    expect(await inToken()).toEqual([])
    fixture.clock.advance(8 * DAY)
    await fixture.maintenance.run(0)
    fixture.clock.advance(GRACE_MS + 1)
    await fixture.maintenance.run(0)
    expect((await now()).state).toBe('Deleted')
  })
})

describe('several materials of one key', () => {
  it('take turns: a new one waits, becomes the current one on demand, and all have to be there', async () => {
    await bring(material)
    const blobs = [await seal()]
    const second = randomBytes(32)
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    const { version } = await bring(second, { type: 'NEW' })
    expect(await states()).toEqual(['Imported', 'Imported'])
    expect((await now()).primaryVersionId).toBe(key.primaryVersionId)
    expect(await codeOf(bring(randomBytes(32), { type: 'NEW' }))).toBe('MATERIAL_PENDING')
    expect((await rotate()).primaryVersionId).toBe(version?.versionId)
    blobs.push(await seal())
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    for (const blob of blobs) expect(await open(blob)).toBe('x')
    const [first] = (await now()).versions.map(keyMaterialId)
    await fixture.kms.deleteImportedKeyMaterial(call(), key.keyId, first)
    expect((await now()).state).toBe('PendingImport')
    await bring(second)
    expect((await now()).state).toBe('PendingImport')
    expect(await codeOf(bring(second, { materialId: first }))).toBe('MATERIAL_INCORRECT')
    await bring(material)
    expect((await now()).state).toBe('Enabled')
    for (const blob of blobs) expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1, 2])
  })

  it('never wait two at a time, also where one came while the other was being looked at', async () => {
    await bring(material)
    const { importToken, publicKey } = await parameters()
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, randomBytes(32))
    const store = fixture.store.imports
    const look = store.getImportPair.bind(store)
    store.getImportPair = async (pairId) => {
      store.getImportPair = look
      await bring(randomBytes(32), { type: 'NEW' })
      return look(pairId)
    }
    const late = fixture.kms.importKeyMaterial(call(), {
      keyId: key.keyId,
      importToken,
      wrapped,
      type: 'NEW',
    })
    expect(await codeOf(late)).toBe('MATERIAL_PENDING')
    expect(await states()).toEqual(['Imported', 'Imported'])
  })

  it('that waits may be taken away without harm, and be brought again', async () => {
    await bring(material)
    const second = randomBytes(32)
    const waiting = await bring(second, { type: 'NEW' })
    await fixture.kms.deleteImportedKeyMaterial(
      call(),
      key.keyId,
      waiting.version && keyMaterialId(waiting.version),
    )
    expect((await now()).state).toBe('Enabled')
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    await bring(second)
    await rotate()
    expect(await open(await seal())).toBe('x')
  })

  it('are rotated 25 times at most, and never by a schedule', async () => {
    await bring(material)
    for (let rotation = 0; rotation < 25; rotation++) {
      await bring(randomBytes(32), { type: 'NEW' })
      await rotate()
      // Pairs would be too many for one key otherwise.
      fixture.clock.advance(DAY + 1)
      await fixture.imports.run()
    }
    await bring(randomBytes(32), { type: 'NEW' })
    expect(await codeOf(rotate())).toBe('ROTATIONS_EXHAUSTED')
    expect(await codeOf(fixture.kms.enableKeyRotation(call(), key.keyId, 90))).toBe('KEY_ORIGIN_INVALID')
  }, 60_000)

  it('are not rotated at the bound of invocations, which only their owner can do', async () => {
    fixture = kmsFixture({ invocationsMax: 40, leaseInvocations: 4, rotateAt: 10 })
    key = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
    await bring(material)
    for (let seals = 0; seals < 12; seals++) await seal()
    await fixture.rotation.run()
    expect((await now()).versions).toHaveLength(1)
    expect(fixture.rotation.counts).toEqual({ ok: 0, failed: 0 })
  })
})

describe('an import token', () => {
  const importWith = (importToken: Buffer, keyId = key.keyId, principal = ALICE) =>
    codeOf(fixture.kms.importKeyMaterial(call(principal), { keyId, importToken, wrapped: randomBytes(256) }))

  it('is good for its key alone, as it was given, and until its end', async () => {
    const { importToken, expiresAt } = await parameters()
    expect(expiresAt - fixture.clock.now()).toBeGreaterThan(DAY - 10_000)
    const other = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
    expect(await importWith(importToken, other.keyId)).toBe('IMPORT_TOKEN_INVALID')
    for (let at = 0; at < importToken.length; at++) {
      const changed = Buffer.from(importToken)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(await importWith(changed)).toBe('IMPORT_TOKEN_INVALID')
    }
    for (const wrong of [importToken.subarray(1), Buffer.concat([importToken, Buffer.of(0)]), Buffer.of(1)])
      expect(await importWith(wrong)).toBe('IMPORT_TOKEN_INVALID')
    expect(await importWith(importToken)).toBe('MATERIAL_UNREADABLE')
    fixture.clock.advance(DAY)
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_EXPIRED')
    await fixture.imports.run()
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_EXPIRED')
    expect(fixture.provider.importPairs.size).toBe(0)
    fixture.clock.advance(8 * DAY)
    await fixture.imports.run()
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_INVALID')
  })

  it('is nothing to another account', async () => {
    const { importToken } = await parameters()
    expect(await importWith(importToken, key.keyId, MALLORY)).toBe('KEY_NOT_FOUND')
  })

  it('is had eight times at a time for one key', async () => {
    for (let pair = 0; pair < 8; pair++) await parameters()
    expect(await codeOf(parameters())).toBe('LIMIT_EXCEEDED')
    const other = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
    expect(await codeOf(parameters(other.keyId))).toBe('done')
    fixture.clock.advance(DAY)
    await fixture.imports.run()
    expect(await codeOf(parameters())).toBe('done')
  })

  it('is of keys that are external', async () => {
    const own = await fixture.kms.createKey(call(), {})
    for (const refused of [
      parameters(own.keyId),
      fixture.kms.deleteImportedKeyMaterial(call(), own.keyId, undefined),
      fixture.kms.importKeyMaterial(call(), {
        keyId: own.keyId,
        importToken: Buffer.of(1),
        wrapped: Buffer.of(1),
      }),
    ])
      expect(await codeOf(refused)).toBe('KEY_ORIGIN_INVALID')
  })

  it('leaves no pair behind whose making was cut short', async () => {
    const store = fixture.store.imports
    const move = store.moveImportPair.bind(store)
    store.moveImportPair = () => Promise.reject(new Error('killed'))
    await parameters().catch(() => undefined)
    store.moveImportPair = move
    expect(fixture.provider.importPairs.size).toBe(1)
    fixture.clock.advance(901_000)
    await fixture.imports.run()
    expect(fixture.provider.importPairs.size).toBe(0)
  })

  it('is not counted where the token cannot unwrap for it', async () => {
    const { provider } = fixture
    const make = provider.createImportPair.bind(provider)
    provider.createImportPair = () => Promise.reject(new KmsError('UNSUPPORTED', 'It cannot.', {}))
    for (let attempt = 1; attempt <= 9; attempt++) expect(await codeOf(parameters())).toBe('UNSUPPORTED')
    provider.createImportPair = make
    expect(await codeOf(parameters())).toBe('done')
  })

  it('keeps its pair until the token is back to destroy it', async () => {
    await parameters()
    fixture.clock.advance(DAY)
    fixture.provider.failWith = GONE
    await fixture.imports.run()
    fixture.provider.failWith = undefined
    expect(fixture.provider.importPairs.size).toBe(1)
    await fixture.imports.run()
    expect(fixture.provider.importPairs.size).toBe(0)
  })
})

describe('an import that is cut short', () => {
  /** Lets the n-th change of the key and all after it fail, as a process that died there. */
  async function killedAfter(changes: number, work: () => Promise<unknown>): Promise<void> {
    const { store } = fixture
    const replace = store.replaceKey.bind(store)
    let left = changes
    store.replaceKey = (next) => (left-- > 0 ? replace(next) : Promise.reject(new Error('killed')))
    await work().catch(() => undefined)
    store.replaceKey = replace
  }

  async function settle(): Promise<void> {
    fixture.clock.advance(60_001)
    await fixture.imports.run()
    await fixture.imports.run()
  }

  it.each([0, 1])('after %d changes of the row leaves nothing, and is begun again', async (changes) => {
    await killedAfter(changes, () => bring(material))
    await settle()
    expect(await states()).toEqual(['PendingImport'])
    expect(await inToken()).toEqual([])
    await bring(material)
    expect(await open(await seal())).toBe('x')
  })

  it.each([0, 1, 2])(
    'and that brings new material, after %d changes, leaves the old one alone',
    async (changes) => {
      await bring(material)
      const blob = await seal()
      const second = randomBytes(32)
      await killedAfter(changes, () => bring(second, { type: 'NEW' }))
      await settle()
      expect(await open(blob)).toBe('x')
      if (changes < 2) expect(await inToken()).toEqual([1])
      await bring(second, changes < 2 ? { type: 'NEW' } : {})
      await rotate()
      expect(await open(await seal())).toBe('x')
      expect(await open(blob)).toBe('x')
    },
  )

  it.each([0, 1])('and a deletion after %d changes is finished, or never was', async (changes) => {
    await bring(material)
    await killedAfter(changes, remove)
    await settle()
    expect(await inToken()).toEqual(changes === 0 ? [1] : [])
    expect((await now()).state).toBe(changes === 0 ? 'Enabled' : 'PendingImport')
  })

  it('because the token went away is undone when it is back', async () => {
    await bring(material)
    await remove()
    const { provider } = fixture
    const load = provider.importMasterKey.bind(provider)
    provider.importMasterKey = async (...args) => {
      const loaded = await load(...args)
      provider.failWith = GONE
      return loaded
    }
    expect(await codeOf(bring(material))).toBe('TOKEN_UNAVAILABLE')
    provider.importMasterKey = load
    provider.failWith = undefined
    expect(await inToken()).toEqual([1])
    await settle()
    expect(await inToken()).toEqual([])
    expect((await bring(material)).key.state).toBe('Enabled')
  })

  it('and given up does not take along what a later import of the same version brought', async () => {
    const { provider } = fixture
    const load = provider.importMasterKey.bind(provider)
    const { promise: goOn, resolve } = Promise.withResolvers<void>()
    const { promise: waits, resolve: begun } = Promise.withResolvers<void>()
    provider.importMasterKey = async (...args) => {
      begun()
      await goOn
      return load(...args)
    }
    const late = codeOf(bring(randomBytes(32)))
    await waits
    provider.importMasterKey = load
    await settle()
    // Between the look at the row and the destruction the other import comes in.
    const destroy = provider.destroyMasterKey.bind(provider)
    provider.destroyMasterKey = async (...args) => {
      provider.destroyMasterKey = destroy
      await bring(material)
      return destroy(...args)
    }
    resolve()
    expect(await late).toBe('CONFLICT')
    expect(await states()).toEqual(['Imported'])
    expect(await inToken()).toEqual([1])
    expect(await open(await seal())).toBe('x')
    expect(provider.held).toBe(1)
  })

  it('and given up neither ends nor undoes the import that has its place since', async () => {
    const { provider } = fixture
    const load = provider.importMasterKey.bind(provider)
    /** An import that stands still in the token. */
    const held = async (bytes: Buffer) => {
      const { promise: goOn, resolve } = Promise.withResolvers<void>()
      const { promise: waits, resolve: begun } = Promise.withResolvers<void>()
      provider.importMasterKey = async (...args) => {
        begun()
        await goOn
        return load(...args)
      }
      const outcome = codeOf(bring(bytes))
      await waits
      return { outcome, resolve }
    }
    const late = await held(randomBytes(32))
    await settle()
    const other = await held(material)
    late.resolve()
    expect(await late.outcome).toBe('CONFLICT')
    expect(await states()).toEqual(['Importing'])
    other.resolve()
    expect(await other.outcome).toBe('done')
    expect(await open(await seal())).toBe('x')
    expect(provider.held).toBe(1)
  })

  it('and a deletion that ends late does not take along what came again meanwhile', async () => {
    await bring(material)
    const blob = await seal()
    const { provider } = fixture
    const destroy = provider.destroyMasterKey.bind(provider)
    provider.destroyMasterKey = async (...args) => {
      provider.destroyMasterKey = destroy
      await settle()
      await bring(material)
      return destroy(...args)
    }
    await remove()
    expect(await states()).toEqual(['Imported'])
    expect(await open(blob)).toBe('x')
  })

  it('is not disturbed by a round, and two at once do not spoil each other', async () => {
    const { importToken, publicKey } = await parameters()
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, material)
    const input = { keyId: key.keyId, importToken, wrapped }
    const both = [1, 2].map(() => codeOf(fixture.kms.importKeyMaterial(call(), input)))
    await fixture.imports.run()
    const codes = await Promise.all(both)
    expect(codes).toContain('done')
    expect(codes.filter((code) => !['done', 'CONFLICT', 'MATERIAL_INCORRECT'].includes(code))).toEqual([])
    expect(await states()).toContain('Imported')
    expect(await open(await seal())).toBe('x')
  })
})
