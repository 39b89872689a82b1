import { describe, expect, it } from 'vitest'
import { InFlightLimit } from '../../../src/core/in-flight-limit.ts'

describe('a limit of calls in flight', () => {
  const refuse = () => new Error('refused')

  it('holds for an account, and for all of them together, until calls end', async () => {
    const limit = new InFlightLimit({ max: 3, perAccountMax: 2 })
    const ends: (() => void)[] = []
    const hold = (account: string) =>
      limit.use(account, () => new Promise<void>((resolve) => ends.push(resolve)), refuse)
    const held = [hold('a'), hold('a')]
    await expect(hold('a')).rejects.toThrow('refused')
    held.push(hold('b'))
    await expect(hold('b')).rejects.toThrow('refused')
    await expect(hold('c')).rejects.toThrow('refused')
    for (const end of ends) end()
    await Promise.all(held)
    expect(await limit.use('c', async () => 'done', refuse)).toBe('done')
  })

  it('lets go of calls that fail', async () => {
    const limit = new InFlightLimit({ max: 1, perAccountMax: 1 })
    const fail = () => limit.use('a', () => Promise.reject(new Error('failed')), refuse)
    for (let time = 0; time < 2; time++) await expect(fail()).rejects.toThrow('failed')
  })
})
