import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { codeOf, GONE, importedMaterialFixture } from '../../support/imported-material-fixture.ts'
import { call } from '../../support/kms-fixture.ts'
import { wrapMaterial } from '../../support/wrap-material.ts'

const { at, bring, inToken, now, open, parameters, remove, rotate, seal, states } = importedMaterialFixture()

describe('an import that is cut short', () => {
  /** Lets the n-th change of the key and all after it fail, as a process that died there. */
  async function killedAfter(changes: number, work: () => Promise<unknown>): Promise<void> {
    const { store } = at.core
    const replace = store.replaceKey.bind(store)
    let left = changes
    store.replaceKey = (next) => (left-- > 0 ? replace(next) : Promise.reject(new Error('killed')))
    await work().catch(() => undefined)
    store.replaceKey = replace
  }

  async function settle(): Promise<void> {
    at.core.clock.advance(60_001)
    await at.core.imports.run()
    await at.core.imports.run()
  }

  it.each([0, 1])('after %d changes of the row leaves nothing, and is begun again', async (changes) => {
    await killedAfter(changes, () => bring(at.material))
    await settle()
    expect(await states()).toEqual(['PendingImport'])
    expect(await inToken()).toEqual([])
    await bring(at.material)
    expect(await open(await seal())).toBe('x')
  })

  it.each([0, 1, 2])(
    'and that brings new material, after %d changes, leaves the old one alone',
    async (changes) => {
      await bring(at.material)
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
    await bring(at.material)
    await killedAfter(changes, remove)
    await settle()
    expect(await inToken()).toEqual(changes === 0 ? [1] : [])
    expect((await now()).state).toBe(changes === 0 ? 'Enabled' : 'PendingImport')
  })

  it('because the token went away is undone when it is back', async () => {
    await bring(at.material)
    await remove()
    const { provider } = at.core
    const load = provider.importMasterKey.bind(provider)
    provider.importMasterKey = async (...args) => {
      const loaded = await load(...args)
      provider.failWith = GONE
      return loaded
    }
    expect(await codeOf(bring(at.material))).toBe('TOKEN_UNAVAILABLE')
    provider.importMasterKey = load
    provider.failWith = undefined
    expect(await inToken()).toEqual([1])
    await settle()
    expect(await inToken()).toEqual([])
    expect((await bring(at.material)).key.state).toBe('Enabled')
  })

  it('and given up does not take along what a later import of the same version brought', async () => {
    const { provider } = at.core
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
      await bring(at.material)
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
    const { provider } = at.core
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
    const other = await held(at.material)
    late.resolve()
    expect(await late.outcome).toBe('CONFLICT')
    expect(await states()).toEqual(['Importing'])
    other.resolve()
    expect(await other.outcome).toBe('done')
    expect(await open(await seal())).toBe('x')
    expect(provider.held).toBe(1)
  })

  it('and a deletion that ends late does not take along what came again meanwhile', async () => {
    await bring(at.material)
    const blob = await seal()
    const { provider } = at.core
    const destroy = provider.destroyMasterKey.bind(provider)
    provider.destroyMasterKey = async (...args) => {
      provider.destroyMasterKey = destroy
      await settle()
      await bring(at.material)
      return destroy(...args)
    }
    await remove()
    expect(await states()).toEqual(['Imported'])
    expect(await open(blob)).toBe('x')
  })

  it('is not disturbed by a round, and two at once do not spoil each other', async () => {
    const { importToken, publicKey } = await parameters()
    const wrapped = wrapMaterial('RSAES_OAEP_SHA_256', publicKey, at.material)
    const input = { keyId: at.key.keyId, importToken, wrapped }
    const both = [1, 2].map(() => codeOf(at.core.kms.importKeyMaterial(call(), input)))
    await at.core.imports.run()
    const codes = await Promise.all(both)
    expect(codes).toContain('done')
    expect(codes.filter((code) => !['done', 'CONFLICT', 'MATERIAL_INCORRECT'].includes(code))).toEqual([])
    expect(await states()).toContain('Imported')
    expect(await open(await seal())).toBe('x')
  })
})
