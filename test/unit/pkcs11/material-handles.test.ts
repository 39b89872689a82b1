import { expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { CallOptions } from '../../../src/core/ports/crypto-provider.ts'
import { MaterialHandleCache, type MaterialHandles } from '../../../src/providers/pkcs11/material-handles.ts'

const REF = { token: 'main', keyId: 'k', versionId: 'v', versionNumber: 1 }
const timeout = () => new KmsError('TOKEN_TIMEOUT', 'late', { token: 'main' })
const HANDLES: readonly MaterialHandles[] = [0, 1, 2, 3].map((byte) => () => Buffer.of(byte))
const handles = (byte: number): MaterialHandles => HANDLES[byte] ?? (() => Buffer.alloc(0))
const within = (ms: number): CallOptions => ({ deadlineAt: Date.now() + ms })

/** A cache whose searches the test ends by hand. */
function makeCache() {
  const searches: (PromiseWithResolvers<MaterialHandles> & { readonly options: CallOptions })[] = []
  const cache = new MaterialHandleCache((_, options) => {
    const search = { ...Promise.withResolvers<MaterialHandles>(), options }
    searches.push(search)
    return search.promise
  }, timeout)
  return { cache, searches }
}

it('ends a look-up at the deadline of its caller, though the search is of one who has more time', async () => {
  const { cache, searches } = makeCache()
  const patient = cache.find(REF, within(60_000))
  const startedAt = performance.now()
  await expect(cache.find(REF, within(20))).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
  expect(performance.now() - startedAt).toBeLessThan(30_000)
  expect(searches).toHaveLength(1)
  searches[0]?.resolve(handles(1))
  expect(await patient).toEqual(handles(1))
  expect(cache.get(REF)).toEqual(handles(1))
})

it('ends the look-up of the one whose search it is as well', async () => {
  const { cache } = makeCache()
  await expect(cache.find(REF, within(20))).rejects.toMatchObject({ code: 'TOKEN_TIMEOUT' })
})

it('searches again, once for all, for those who had more time than the one whose search it was', async () => {
  const { cache, searches } = makeCache()
  const hasty = cache.find(REF, within(60_000)).catch((error: unknown) => error)
  const patient = [cache.find(REF, within(90_000)), cache.find(REF, within(90_000))]
  searches[0]?.reject(timeout())
  expect(await hasty).toMatchObject({ code: 'TOKEN_TIMEOUT' })
  await new Promise(setImmediate)
  expect(searches).toHaveLength(2)
  searches[1]?.resolve(handles(2))
  expect(await Promise.all(patient)).toEqual([handles(2), handles(2)])
})

it('keeps handles that it is told, past a search that began before', async () => {
  const { cache, searches } = makeCache()
  const found = cache.find(REF, within(60_000))
  cache.remember(REF, handles(3))
  searches[0]?.resolve(handles(1))
  await found
  expect(cache.get(REF)).toEqual(handles(3))
})
