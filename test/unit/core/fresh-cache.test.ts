import { beforeEach, describe, expect, it } from 'vitest'
import { FreshCache } from '../../../src/core/key-directory.ts'

describe('rows that are held in memory', () => {
  let now: number
  let reads: string[]
  let cache: FreshCache<string>
  beforeEach(() => {
    now = 1_000
    reads = []
    cache = new FreshCache({ now: () => now, monotonic: () => now }, 100, 3)
  })
  const get = (key: string, value: string | undefined = key) =>
    cache.get(key, async () => {
      reads.push(key)
      return value
    })

  it('are read once while they are fresh, by whoever asks at the same time as well', async () => {
    expect(await Promise.all([get('a', 'first'), get('a', 'second')])).toEqual(['first', 'first'])
    now += 100
    expect(await get('a', 'third')).toBe('first')
    expect(reads).toEqual(['a'])
    now += 1
    expect(await get('a', 'fourth')).toBe('fourth')
  })

  it('are read anew when the clock was set back, however old they are', async () => {
    await get('a', 'first')
    now -= 1
    expect(await get('a', 'second')).toBe('second')
  })

  it('are not held where there are none, nor where they could not be read', async () => {
    const none = await cache.get('a', async () => undefined)
    expect(none).toBeUndefined()
    expect(await get('a')).toBe('a')
    await expect(cache.get('b', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(await get('b')).toBe('b')
  })

  it('are read anew once they were forgotten, while they are being read as well', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const before = cache.get('a', () => promise)
    cache.forget('a')
    expect(await get('a', 'after')).toBe('after')
    resolve('before')
    expect(await before).toBe('before')
    expect(await get('a', 'never')).toBe('after')
  })

  it('stay when an older read of theirs comes to nothing', async () => {
    const { promise, reject } = Promise.withResolvers<string>()
    const late = cache.get('a', () => promise)
    cache.forget('a')
    await get('a', 'there')
    reject(new Error('away'))
    await expect(late).rejects.toThrow('away')
    expect(await get('a', 'never')).toBe('there')
  })

  it('are so many at most, and the oldest goes first', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await get(key)
    reads.length = 0
    for (const key of ['b', 'c', 'd', 'a']) await get(key)
    expect(reads).toEqual(['a'])
  })
})
