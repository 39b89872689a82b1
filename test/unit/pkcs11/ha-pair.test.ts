import { expect, it } from 'vitest'
import type { MasterKeyRef } from '../../../src/core/ports/crypto-provider.ts'
import { HaPair, type HaPairParts } from '../../../src/providers/pkcs11/ha-pair.ts'

const REF: MasterKeyRef = { token: 'main', keyId: 'k', versionId: 'v', versionNumber: 1 }
const within = () => ({ deadlineAt: Date.now() + 1_000 })

/** A pair of which each member notes what is destroyed on it, or fails to. */
function pairOf(away: readonly string[], failing: readonly string[] = []) {
  const destroyed: string[] = []
  const forgotten: string[] = []
  const member = (name: string) => ({
    available: !away.includes(name),
    destroyMasterKey: async () => {
      if (failing.includes(name)) throw new Error(`${name} failed`)
      destroyed.push(name)
    },
  })
  const parts = {
    name: 'main',
    primary: member('primary'),
    replica: member('replica'),
    proofs: { forget: () => forgotten.push('forgotten') },
    log: {},
    failbackDelayMs: 0,
  } as unknown as HaPairParts
  return { pair: new HaPair(parts), destroyed, forgotten }
}

it.each([[['primary']], [['replica']], [['primary', 'replica']]])(
  'a key is destroyed on neither token while %j is away',
  async (away) => {
    const { pair, destroyed, forgotten } = pairOf(away)
    await expect(pair.destroyMasterKey(REF, within())).rejects.toMatchObject({
      code: 'TOKEN_UNAVAILABLE',
      cause: { message: `The ${away[0]} is away, and a key is destroyed on both tokens.` },
    })
    expect([destroyed, forgotten]).toEqual([[], []])
  },
)

it('a key is destroyed on the replica first, so that the primary holds what is left to be destroyed', async () => {
  const both = pairOf([])
  await both.pair.destroyMasterKey(REF, within())
  expect(both.destroyed).toEqual(['replica', 'primary'])
  const half = pairOf([], ['replica'])
  await expect(half.pair.destroyMasterKey(REF, within())).rejects.toThrow('replica failed')
  expect(half.destroyed).toEqual([])
  // What was proven of a copy does not hold once it may be gone.
  expect(half.forgotten).toHaveLength(2)
})
