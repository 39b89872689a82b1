import { randomBytes } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { codeOf, DAY, GONE, HOUR, importedMaterialFixture } from '../../support/imported-material-fixture.ts'
import { call, GRACE_MS } from '../../support/kms-fixture.ts'

const { at, bring, inToken, now, open, parameters, remove, rotate, seal, states } = importedMaterialFixture()

describe('a key whose material is imported', () => {
  it('is of no use before, seals afterwards, and opens what it sealed when the same material comes again', async () => {
    expect([at.key.state, at.key.origin]).toEqual(['PendingImport', 'EXTERNAL'])
    expect(await codeOf(seal())).toBe('KEY_STATE_INVALID')
    expect((await bring(at.material)).key.state).toBe('Enabled')
    const blob = await seal()
    await remove()
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([])
    expect(await codeOf(open(blob))).toBe('KEY_STATE_INVALID')
    expect((await bring(at.material)).key.state).toBe('Enabled')
    expect(await open(blob)).toBe('x')
  })

  it('takes no other material in place of what it had, whether that is there or not', async () => {
    await bring(at.material)
    const blob = await seal()
    expect(await codeOf(bring(randomBytes(32)))).toBe('MATERIAL_INCORRECT')
    expect(await codeOf(bring(at.material, { type: 'NEW' }))).toBe('MATERIAL_INCORRECT')
    expect(await open(blob)).toBe('x')
    await remove()
    expect(await codeOf(bring(randomBytes(32)))).toBe('MATERIAL_INCORRECT')
    expect(await inToken()).toEqual([])
    expect(await codeOf(bring(randomBytes(32), { type: 'EXISTING' }))).toBe('MATERIAL_INCORRECT')
    await bring(at.material)
    expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1])
  })

  it('takes nothing for existing material that never had any', async () => {
    expect(await codeOf(bring(at.material, { type: 'EXISTING' }))).toBe('MATERIAL_INCORRECT')
    expect((await now()).state).toBe('PendingImport')
  })

  it('does not come in when it does not unwrap, and leaves nothing', async () => {
    const { importToken } = await parameters()
    const input = { keyId: at.key.keyId, importToken, wrapped: randomBytes(256) }
    expect(await codeOf(at.core.kms.importKeyMaterial(call(), input))).toBe('MATERIAL_UNREADABLE')
    expect(await codeOf(bring(randomBytes(16)))).toBe('MATERIAL_UNREADABLE')
    expect(await states()).toEqual(['PendingImport'])
    expect((await bring(at.material)).key.state).toBe('Enabled')
  })

  it('expires when its owner said so, is destroyed then, and comes back', async () => {
    await bring(at.material, { expiresAt: at.core.clock.now() + HOUR })
    const blob = await seal()
    await at.core.imports.run()
    expect(await open(blob)).toBe('x')
    at.core.clock.advance(HOUR)
    await at.core.imports.run()
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([])
    await bring(at.material)
    at.core.clock.advance(10 * HOUR)
    await at.core.imports.run()
    expect(await open(blob)).toBe('x')
  })

  it('is of no use to any operation from its very end on, whatever maintenance does, and comes back at once', async () => {
    await bring(at.material, { expiresAt: at.core.clock.now() + HOUR })
    const blob = await seal()
    const named = { key: { kind: 'id', keyId: at.key.keyId } } as const
    at.core.clock.advance(HOUR - 500)
    expect(await open(blob)).toBe('x')
    const { store } = at.core
    const read = store.getKey.bind(store)
    let reads = 0
    store.getKey = (...place) => {
      reads++
      return read(...place)
    }
    at.core.clock.advance(500)
    const refused = await Promise.all([
      codeOf(open(blob)),
      codeOf(seal()),
      codeOf(at.core.kms.generateDataKey(call(), { ...named, lengthBytes: 32 })),
      codeOf(at.core.kms.reEncrypt(call(), { blob, destinationKey: named.key })),
    ])
    expect(new Set(refused)).toEqual(new Set(['KEY_STATE_INVALID']))
    expect((await at.core.kms.describeKey(call(), named.key)).state).toBe('PendingImport')
    expect(reads).toBe(0)
    expect(await codeOf(at.core.kms.disableKey(call(), at.key.keyId))).toBe('KEY_STATE_INVALID')
    expect(await codeOf(at.core.kms.enableKey(call(), at.key.keyId))).toBe('KEY_STATE_INVALID')
    expect(await inToken()).toEqual([1])
    await bring(at.material)
    expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1])
  })

  it('that has expired is destroyed by a round also where another change of the key was first', async () => {
    await bring(at.material, { expiresAt: at.core.clock.now() + HOUR })
    at.core.clock.advance(HOUR)
    await at.core.kms.updateKeyDescription(call(), at.key.keyId, 'changed')
    expect((await now()).state).toBe('PendingImport')
    expect(await inToken()).toEqual([1])
    at.core.clock.advance(60_001)
    await at.core.imports.run()
    expect(await states()).toEqual(['PendingImport'])
    expect(await inToken()).toEqual([])
  })

  it('that has expired comes back at once also where another change of the key was first, or a crash', async () => {
    const comesBack = async () => {
      expect((await bring(at.material)).key.state).toBe('Enabled')
      expect(await inToken()).toEqual([1])
    }
    await bring(at.material, { expiresAt: at.core.clock.now() + HOUR })
    at.core.clock.advance(HOUR)
    await at.core.kms.updateKeyDescription(call(), at.key.keyId, 'changed')
    await comesBack()
    vi.spyOn(at.core.provider, 'destroyMasterKey').mockRejectedValueOnce(GONE)
    expect(await codeOf(remove())).toBe('TOKEN_UNAVAILABLE')
    await comesBack()
  })

  it('is not rotated to once it has expired while it waited', async () => {
    await bring(at.material)
    await bring(randomBytes(32), { type: 'NEW', expiresAt: at.core.clock.now() + HOUR })
    at.core.clock.advance(HOUR)
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    expect(await open(await seal())).toBe('x')
  })

  it('is of no use after its end while its token is away, however many keys wait for that', async () => {
    const ends = { expiresAt: at.core.clock.now() + HOUR }
    const keyIds: string[] = []
    for (let one = 1; one <= 7; one++) {
      at.key = await at.core.kms.createKey(call(), { origin: 'EXTERNAL' })
      await bring(at.material, ends)
      keyIds.push(at.key.keyId)
    }
    at.core.clock.advance(HOUR + 1)
    at.core.provider.failWith = GONE
    await at.core.imports.run()
    for (const keyId of keyIds)
      expect((await at.core.store.getKey(at.key.region, keyId))?.state).toBe('PendingImport')
    at.core.provider.failWith = undefined
    at.core.clock.advance(60_001)
    await at.core.imports.run()
    expect(await inToken()).toEqual([])
  })

  it('has its end moved, or taken away, by an import of what is there', async () => {
    await bring(at.material, { expiresAt: at.core.clock.now() + HOUR })
    await bring(at.material, { expiresAt: at.core.clock.now() + 2 * HOUR, description: 'until two' })
    at.core.clock.advance(HOUR)
    await at.core.imports.run()
    expect((await now()).versions[0]?.imported?.description).toBe('until two')
    await bring(at.material)
    at.core.clock.advance(20 * HOUR)
    await at.core.imports.run()
    expect((await now()).state).toBe('Enabled')
    expect(await inToken()).toEqual([1])
  })

  it('has no end in the past', async () => {
    expect(await codeOf(bring(at.material, { expiresAt: at.core.clock.now() }))).toBe('REQUEST_INVALID')
  })

  it('stays disabled when what is there comes again, and comes back as it has to from a deletion', async () => {
    await bring(at.material)
    await at.core.kms.disableKey(call(), at.key.keyId)
    await bring(at.material)
    expect((await now()).state).toBe('Disabled')
    await remove()
    expect((await now()).state).toBe('PendingImport')
    await at.core.kms.scheduleKeyDeletion(call(), at.key.keyId, 7)
    expect(await codeOf(bring(at.material))).toBe('KEY_STATE_INVALID')
    await at.core.kms.cancelKeyDeletion(call(), at.key.keyId)
    expect((await now()).state).toBe('PendingImport')
    await bring(at.material)
    await at.core.kms.scheduleKeyDeletion(call(), at.key.keyId, 7)
    await remove()
    expect((await now()).state).toBe('PendingDeletion')
    expect(await inToken()).toEqual([])
    at.core.clock.advance(8 * DAY)
    await at.core.maintenance.run(0)
    at.core.clock.advance(GRACE_MS + 1)
    await at.core.maintenance.run(0)
    expect((await now()).state).toBe('Deleted')
  })
})
