import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type ChangedRow, KeyDirectory } from '../../../src/core/key-directory.ts'
import { ALICE, call, kmsFixture } from '../../support/kms-fixture.ts'

const MAX_AGE_MS = 400

/** The core of two processes on one store; what each changes is told to the other as `tell` has it. */
async function twoProcesses(tell: (row: ChangedRow, deliver: () => void) => Promise<void>) {
  const one = kmsFixture()
  const settings = { maxAgeMs: MAX_AGE_MS, entriesMax: 100 }
  const peer: KeyDirectory = new KeyDirectory(one.store, one.clock, settings)
  const told: ChangedRow[] = []
  const directory = new KeyDirectory(one.store, one.clock, settings, (row) => {
    told.push(row)
    return tell(row, () => peer.forget(row))
  })
  const kms = one.kmsWith(directory)
  const key = await kms.createKey(call(), {})
  await kms.createAlias(call(), 'alias/one', { kind: 'id', keyId: key.keyId })
  const seenByPeer = async () => (await peer.getKey(key.region, key.keyId))?.state
  expect(await seenByPeer()).toBe('Enabled')
  return { kms, key, peer, told, seenByPeer }
}

describe('KeyDirectory of several processes', () => {
  it('an acknowledged change is seen by a peer that was told', async () => {
    const { kms, key, peer, seenByPeer } = await twoProcesses(async (_row, deliver) => deliver())
    await kms.disableKey(call(), key.keyId)
    expect(await seenByPeer()).toBe('Disabled')
    const other = await kms.createKey(call(), {})
    const target = async () => (await peer.getAlias(ALICE.accountId, ALICE.region, 'alias/one'))?.keyId
    expect(await target()).toBe(key.keyId)
    await kms.updateAlias(call(), 'alias/one', { kind: 'id', keyId: other.keyId })
    expect(await target()).toBe(other.keyId)
    await kms.deleteAlias(call(), 'alias/one')
    expect(await target()).toBeUndefined()
  })

  it('is acknowledged only when the peers have been told', async () => {
    const { promise: held, resolve: deliverNow } = Promise.withResolvers<void>()
    const { kms, key } = await twoProcesses((row) => (row.kind === 'key' ? held : Promise.resolve()))
    let acknowledged = false
    const disabled = kms.disableKey(call(), key.keyId).then(() => (acknowledged = true))
    await sleep(MAX_AGE_MS / 4)
    expect(acknowledged).toBe(false)
    deliverNow()
    expect(await disabled).toBe(true)
  })

  it('waits no longer for a peer that does not answer than the peer may use an old row', async () => {
    const { kms, key, seenByPeer } = await twoProcesses((row) =>
      row.kind === 'key' ? new Promise(() => undefined) : Promise.resolve(),
    )
    await kms.disableKey(call(), key.keyId)
    expect(await seenByPeer()).toBe('Disabled')
  })

  it('tells of a change that was made already, because who made it may have died before telling', async () => {
    const { kms, key, told } = await twoProcesses(async () => undefined)
    await kms.disableKey(call(), key.keyId)
    told.length = 0
    await kms.disableKey(call(), key.keyId)
    expect(told).toStrictEqual([{ kind: 'key', parts: [key.region, key.keyId] }])
  })
})
