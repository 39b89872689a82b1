import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { keyMaterialId } from '../../../src/core/material-id.ts'
import { codeOf, DAY, importedMaterialFixture } from '../../support/imported-material-fixture.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'
import { wrapMaterial } from '../../support/wrap-material.ts'

const { at, bring, inToken, now, open, parameters, rotate, seal, states } = importedMaterialFixture()

describe('several materials of one key', () => {
  it('take turns: a new one waits, becomes the current one on demand, and all have to be there', async () => {
    await bring(at.material)
    const blobs = [await seal()]
    const second = randomBytes(32)
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    const { version } = await bring(second, { type: 'NEW' })
    expect(await states()).toEqual(['Imported', 'Imported'])
    expect((await now()).primaryVersionId).toBe(at.key.primaryVersionId)
    expect(await codeOf(bring(randomBytes(32), { type: 'NEW' }))).toBe('MATERIAL_PENDING')
    expect((await rotate()).primaryVersionId).toBe(version?.versionId)
    blobs.push(await seal())
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    for (const blob of blobs) expect(await open(blob)).toBe('x')
    const [first] = (await now()).versions.map(keyMaterialId)
    await at.core.kms.deleteImportedKeyMaterial(call(), at.key.keyId, first)
    expect((await now()).state).toBe('PendingImport')
    await bring(second)
    expect((await now()).state).toBe('PendingImport')
    expect(await codeOf(bring(second, { materialId: first }))).toBe('MATERIAL_INCORRECT')
    await bring(at.material)
    expect((await now()).state).toBe('Enabled')
    for (const blob of blobs) expect(await open(blob)).toBe('x')
    expect(await inToken()).toEqual([1, 2])
  })

  it('never wait two at a time, also where one came while the other was being looked at', async () => {
    await bring(at.material)
    const { importToken, publicKey } = await parameters()
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, randomBytes(32))
    const store = at.core.store.imports
    const look = store.getImportPair.bind(store)
    store.getImportPair = async (pairId) => {
      store.getImportPair = look
      await bring(randomBytes(32), { type: 'NEW' })
      return look(pairId)
    }
    const late = at.core.kms.importKeyMaterial(call(), {
      keyId: at.key.keyId,
      importToken,
      wrapped,
      type: 'NEW',
    })
    expect(await codeOf(late)).toBe('MATERIAL_PENDING')
    expect(await states()).toEqual(['Imported', 'Imported'])
  })

  it('that waits may be taken away without harm, and be brought again', async () => {
    await bring(at.material)
    const second = randomBytes(32)
    const waiting = await bring(second, { type: 'NEW' })
    await at.core.kms.deleteImportedKeyMaterial(
      call(),
      at.key.keyId,
      waiting.version && keyMaterialId(waiting.version),
    )
    expect((await now()).state).toBe('Enabled')
    expect(await codeOf(rotate())).toBe('MATERIAL_NOT_PENDING')
    await bring(second)
    await rotate()
    expect(await open(await seal())).toBe('x')
  })

  it('are rotated 25 times at most, and never by a schedule', async () => {
    await bring(at.material)
    for (let rotation = 0; rotation < 25; rotation++) {
      await bring(randomBytes(32), { type: 'NEW' })
      await rotate()
      // Pairs would be too many for one key otherwise.
      at.core.clock.advance(DAY + 1)
      await at.core.imports.run()
    }
    await bring(randomBytes(32), { type: 'NEW' })
    expect(await codeOf(rotate())).toBe('ROTATIONS_EXHAUSTED')
    expect(await codeOf(at.core.kms.enableKeyRotation(call(), at.key.keyId, 90))).toBe('KEY_ORIGIN_INVALID')
  }, 60_000)

  it('are not rotated at the bound of invocations, which only their owner can do', async () => {
    at.core = kmsFixture({ invocationsMax: 40, leaseInvocations: 4, rotateAt: 10 })
    at.key = await at.core.kms.createKey(call(), { origin: 'EXTERNAL' })
    await bring(at.material)
    for (let seals = 0; seals < 12; seals++) await seal()
    await at.core.rotation.run()
    expect((await now()).versions).toHaveLength(1)
    expect(at.core.rotation.counts).toEqual({ ok: 0, failed: 0 })
  })
})
