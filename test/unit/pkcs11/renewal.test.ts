import { describe, expect, it } from 'vitest'
import { Renewal } from '../../../src/providers/pkcs11/renewal.ts'

/** A renewal whose work ends when it is told to. */
function scripted(options: { readonly depth?: number; readonly mayRenew?: boolean } = {}) {
  const lanes = { depth: options.depth ?? 0 }
  const moment = { good: options.mayRenew ?? true }
  const ends: (() => void)[] = []
  const renewal = new Renewal({
    lanes,
    mayRenew: () => moment.good,
    renew: () => new Promise((resolve) => ends.push(resolve)),
  })
  const settle = () => new Promise((resolve) => setTimeout(resolve, 5))
  return { renewal, lanes, moment, ends, settle }
}

describe('a renewal', () => {
  it('is due at the bound, once, and holds calls until it ended', async () => {
    const { renewal, ends, settle } = scripted()
    renewal.begin(100)
    renewal.note(99)
    expect(renewal.underWay).toBeUndefined()
    renewal.note(100)
    expect(renewal.underWay).toBeInstanceOf(Promise)
    renewal.note(500)
    await settle()
    expect(ends).toHaveLength(1)
    const held = renewal.underWay
    ends[0]?.()
    await held
    expect(renewal.underWay).toBeUndefined()
  })

  it('is never due without a bound', () => {
    const { renewal, ends } = scripted()
    renewal.note(1e9)
    renewal.begin(undefined, 1e9)
    renewal.note(2e9)
    expect([renewal.underWay, ends]).toEqual([undefined, []])
  })

  it('is put off by a tenth of the bound where the moment is bad, and where the library was not initialized', async () => {
    const { renewal, moment, ends, settle } = scripted({ mayRenew: false })
    renewal.begin(100)
    renewal.note(100)
    moment.good = true
    renewal.note(109)
    expect(renewal.underWay).toBeUndefined()
    renewal.begin(100, 120)
    renewal.note(129)
    expect(renewal.underWay).toBeUndefined()
    renewal.note(130)
    await settle()
    expect(ends).toHaveLength(1)
  })

  it('waits for calls that were begun, and gives up where they take too long', async () => {
    const { renewal, lanes, ends, settle } = scripted({ depth: 1 })
    renewal.begin(100)
    renewal.note(100)
    const held = renewal.underWay
    await settle()
    expect(ends).toHaveLength(0)
    await held
    expect([renewal.underWay, ends]).toEqual([undefined, []])
    renewal.note(110)
    await settle()
    lanes.depth = 0
    await settle()
    expect(ends).toHaveLength(1)
  })
})
