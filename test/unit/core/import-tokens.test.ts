import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import { codeOf, DAY, GONE, importedMaterialFixture } from '../../support/imported-material-fixture.ts'
import { ALICE, call, MALLORY } from '../../support/kms-fixture.ts'

const { at, parameters } = importedMaterialFixture()

describe('an import token', () => {
  const importWith = (importToken: Buffer, keyId = at.key.keyId, principal = ALICE) =>
    codeOf(at.core.kms.importKeyMaterial(call(principal), { keyId, importToken, wrapped: randomBytes(256) }))

  it('is good for its key alone, as it was given, and until its end', async () => {
    const { importToken, expiresAt } = await parameters()
    expect(expiresAt - at.core.clock.now()).toBeGreaterThan(DAY - 10_000)
    const other = await at.core.kms.createKey(call(), { origin: 'EXTERNAL' })
    expect(await importWith(importToken, other.keyId)).toBe('IMPORT_TOKEN_INVALID')
    for (let index = 0; index < importToken.length; index++) {
      const changed = Buffer.from(importToken)
      changed[index] = (changed[index] ?? 0) ^ 1
      expect(await importWith(changed)).toBe('IMPORT_TOKEN_INVALID')
    }
    for (const wrong of [importToken.subarray(1), Buffer.concat([importToken, Buffer.of(0)]), Buffer.of(1)])
      expect(await importWith(wrong)).toBe('IMPORT_TOKEN_INVALID')
    expect(await importWith(importToken)).toBe('MATERIAL_UNREADABLE')
    at.core.clock.advance(DAY)
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_EXPIRED')
    await at.core.imports.run()
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_EXPIRED')
    expect(at.core.provider.importPairs.size).toBe(0)
    at.core.clock.advance(8 * DAY)
    await at.core.imports.run()
    expect(await importWith(importToken)).toBe('IMPORT_TOKEN_INVALID')
  })

  it('is nothing to another account', async () => {
    const { importToken } = await parameters()
    expect(await importWith(importToken, at.key.keyId, MALLORY)).toBe('KEY_NOT_FOUND')
  })

  it('is had eight times at a time for one key', async () => {
    for (let pair = 0; pair < 8; pair++) await parameters()
    expect(await codeOf(parameters())).toBe('LIMIT_EXCEEDED')
    const other = await at.core.kms.createKey(call(), { origin: 'EXTERNAL' })
    expect(await codeOf(parameters(other.keyId))).toBe('done')
    at.core.clock.advance(DAY)
    await at.core.imports.run()
    expect(await codeOf(parameters())).toBe('done')
  })

  it('is of keys that are external', async () => {
    const own = await at.core.kms.createKey(call(), {})
    for (const refused of [
      parameters(own.keyId),
      at.core.kms.deleteImportedKeyMaterial(call(), own.keyId, undefined),
      at.core.kms.importKeyMaterial(call(), {
        keyId: own.keyId,
        importToken: Buffer.of(1),
        wrapped: Buffer.of(1),
      }),
    ])
      expect(await codeOf(refused)).toBe('KEY_ORIGIN_INVALID')
  })

  it('leaves no pair behind whose making was cut short', async () => {
    const store = at.core.store.imports
    const move = store.moveImportPair.bind(store)
    store.moveImportPair = () => Promise.reject(new Error('killed'))
    await parameters().catch(() => undefined)
    store.moveImportPair = move
    expect(at.core.provider.importPairs.size).toBe(1)
    at.core.clock.advance(901_000)
    await at.core.imports.run()
    expect(at.core.provider.importPairs.size).toBe(0)
  })

  it('is not counted where the token cannot unwrap for it', async () => {
    const { provider } = at.core
    const make = provider.createImportPair.bind(provider)
    provider.createImportPair = () => Promise.reject(new KmsError('UNSUPPORTED', 'It cannot.', {}))
    for (let attempt = 1; attempt <= 9; attempt++) expect(await codeOf(parameters())).toBe('UNSUPPORTED')
    provider.createImportPair = make
    expect(await codeOf(parameters())).toBe('done')
  })

  it('keeps its pair until the token is back to destroy it', async () => {
    await parameters()
    at.core.clock.advance(DAY)
    at.core.provider.failWith = GONE
    await at.core.imports.run()
    at.core.provider.failWith = undefined
    expect(at.core.provider.importPairs.size).toBe(1)
    await at.core.imports.run()
    expect(at.core.provider.importPairs.size).toBe(0)
  })
})
