import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { ServedToken } from '../../src/providers/pkcs11/token-set.ts'
import { bringIn, keyInMain, newMaterial, unwrapIn } from '../support/copied-keys.ts'
import { copiesOf, HaFixture, memberOf, proven } from '../support/ha-fixture.ts'
import type { MemoryKeyStore } from '../support/memory-key-store.ts'
import {
  describeWith,
  eventually,
  inOtherProcess,
  type LogRecorder,
  SOFTHSM_MODULE,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')
const GONE = { code: 'TOKEN_UNAVAILABLE' }

describeWith([SOFTHSM_MODULE], 'a token and its replica', () => {
  let fixture: HaFixture
  let store: MemoryKeyStore
  let log: LogRecorder

  const start = (...args: Parameters<HaFixture['start']>) => fixture.start(...args)
  const stop = (token: ServedToken) => fixture.stop(token)
  const pull = (label: 'first' | 'second') => fixture.pull(label)
  const roundTrip = async ({ crypto }: ServedToken, ref: MasterKeyRef) => {
    const sealed = await crypto.sealRandom(ref, 32, AAD, within())
    expect(await crypto.open(ref, 'W0', sealed, AAD, within())).toEqual(sealed.plaintext)
    const inside = await crypto.sealRandomInside(ref, 32, () => AAD, within())
    expect(await crypto.open(ref, inside.mode, inside, AAD, within())).toHaveLength(32)
    return { sealed, inside }
  }
  /** A key of which both tokens have the same material, but for what `second` says. */
  const copiedKey = async (
    second: Parameters<typeof bringIn>[2] | 'same' | 'none' = 'same',
    changes = {},
  ) => {
    const { key, ref } = keyInMain()
    const material = newMaterial()
    await store.createKey(key)
    bringIn('first', ref, material)
    const copy = () =>
      bringIn('second', ref, second === 'same' || second === 'none' ? material : second, changes)
    if (second !== 'none') copy()
    return { ref, material, copy }
  }

  beforeEach(() => {
    fixture = new HaFixture()
    ;({ store, log } = fixture)
  })

  afterEach(() => fixture.remove())

  it('go on serving without one failed call when the primary is pulled, in every mode', async () => {
    const { ref } = await copiedKey()
    const token = await start()
    await proven(token)
    const before = await roundTrip(token, ref)
    let calls = 0
    const until = new AbortController()
    const work = (async () => {
      for (; !until.signal.aborted; calls += 1) await roundTrip(token, ref)
    })()
    await eventually(() => calls > 3)
    expect(memberOf(token, 'replica')?.served).toBe(0)
    pull('first')
    await eventually(() => memberOf(token, 'primary')?.status.state !== 'up')
    const atFailover = calls
    await eventually(() => calls > atFailover + 3)
    until.abort()
    await work
    expect(memberOf(token, 'replica')?.served).toBeGreaterThan(3)
    const { crypto } = token
    expect(await crypto.open(ref, 'W0', before.sealed, AAD, within())).toEqual(before.sealed.plaintext)
    expect(await crypto.open(ref, before.inside.mode, before.inside, AAD, within())).toHaveLength(32)
    expect(await crypto.generateRandom('main', 16, within())).toHaveLength(16)
    await crypto.checkHealth('main', ref, within())
    const request = { spec: 'EC_P256', readable: true } as const
    const pair = await crypto.sealKeyPair(ref, request, () => AAD, within(90_000))
    expect(await crypto.open(ref, pair.mode, pair, AAD, within())).toEqual(pair.privateKey)
    // What only the primary may do waits for it.
    const fresh = keyInMain().ref
    await expect(crypto.createMasterKey(fresh, within())).rejects.toMatchObject(GONE)
    await expect(crypto.checkHealth('main', undefined, within())).rejects.toMatchObject(GONE)
    expect(log.lines.filter((line) => line.includes('the replica serves'))).toHaveLength(1)
  })

  it('go back to the primary once it has been there for a while, not at its first sign', async () => {
    const { ref } = await copiedKey()
    const failbackDelayMs = 1500
    const token = await start({ moduleRestartIntervalMs: 200 }, failbackDelayMs)
    await proven(token)
    const putBack = pull('first')
    await eventually(async () => {
      await token.crypto.sealRandom(ref, 32, AAD, within()).catch(() => undefined)
      return (memberOf(token, 'replica')?.served ?? 0) > 0
    })
    putBack()
    await eventually(() => memberOf(token, 'primary')?.status.state === 'up', 20_000)
    const up = performance.now()
    const servedAt: number[] = []
    let served = memberOf(token, 'replica')?.served ?? 0
    await eventually(async () => {
      await token.crypto.sealRandom(ref, 32, AAD, within()).catch(() => undefined)
      const now = memberOf(token, 'replica')?.served ?? 0
      if (now > served) servedAt.push(performance.now() - up)
      served = now
      return log.lines.some((line) => line.includes('the primary serves again'))
    }, 20_000)
    expect(servedAt.length).toBeGreaterThan(0)
    await eventually(async () => {
      const before = memberOf(token, 'replica')?.served
      await roundTrip(token, ref)
      return memberOf(token, 'replica')?.served === before
    })
  })

  it.each([
    ['other material', newMaterial(), {}],
    ['another key that encrypts', { enc: newMaterial().enc }, {}],
    ['another key that wraps', { wrap: newMaterial().wrap }, {}],
    ['a copy that can be extracted', {}, { EXTRACTABLE: true }],
  ])('never serve from a replica that holds %s, and say so', async (_, other, changes) => {
    const { key, ref } = keyInMain()
    const material = newMaterial()
    await store.createKey(key)
    bringIn('first', ref, material)
    bringIn('second', ref, { ...material, ...other }, changes)
    const token = await start()
    await eventually(() => copiesOf(token)?.refused === 1)
    const before = await roundTrip(token, ref)
    pull('first')
    const { crypto } = token
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await expect(crypto.sealRandom(ref, 32, AAD, within())).rejects.toMatchObject(GONE)
      await expect(crypto.open(ref, 'W0', before.sealed, AAD, within())).rejects.toMatchObject(GONE)
      await expect(crypto.open(ref, before.inside.mode, before.inside, AAD, within())).rejects.toMatchObject(
        GONE,
      )
      await expect(crypto.checkHealth('main', ref, within())).rejects.toMatchObject(GONE)
    }
    expect(memberOf(token, 'replica')?.served).toBe(0)
    const line = log.lines.find((one) => one.includes('replica holds other material'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      level: 'error',
      keyId: ref.keyId,
      versionId: ref.versionId,
    })
  })

  it('serve from a copy that was unwrapped, of which SoftHSM tells no length, and refuse a shorter key', async () => {
    const { key, ref } = keyInMain()
    const other = keyInMain()
    const [material, shorter] = [newMaterial(), newMaterial()]
    for (const one of [key, other.key]) await store.createKey(one)
    bringIn('first', ref, material)
    bringIn('first', other.ref, shorter)
    unwrapIn('second', ref, material)
    unwrapIn('second', other.ref, { enc: shorter.enc.subarray(0, 16), wrap: shorter.wrap.subarray(0, 16) })
    const token = await start()
    await eventually(() => copiesOf(token)?.proven === 1 && copiesOf(token)?.refused === 1)
    const before = await roundTrip(token, ref)
    pull('first')
    const { crypto } = token
    expect(await crypto.open(ref, 'W0', before.sealed, AAD, within())).toEqual(before.sealed.plaintext)
    expect(await crypto.open(ref, before.inside.mode, before.inside, AAD, within())).toHaveLength(32)
    await roundTrip(token, ref)
    await expect(crypto.sealRandom(other.ref, 32, AAD, within())).rejects.toMatchObject(GONE)
  })

  it('serve from the replica when the process starts while the primary is away', async () => {
    const { ref } = await copiedKey()
    const [first] = [await start()]
    await proven(first)
    const before = await roundTrip(first, ref)
    await stop(first)
    pull('first')
    const token = await start()
    expect(memberOf(token, 'primary')?.status.state).toBe('connecting')
    const { crypto } = token
    expect(await crypto.open(ref, 'W0', before.sealed, AAD, within())).toEqual(before.sealed.plaintext)
    expect(await crypto.open(ref, before.inside.mode, before.inside, AAD, within())).toHaveLength(32)
    await roundTrip(token, ref)
    await proven(token)
  })

  it('serve nothing from a replica that the primary never vouched for', async () => {
    const { ref } = await copiedKey()
    const other = await copiedKey()
    pull('first')
    const token = await start()
    await store.putCanary(other.ref.versionId, '{"not":"a canary"}')
    await expect(token.crypto.sealRandom(ref, 32, AAD, within())).rejects.toMatchObject(GONE)
    await expect(token.crypto.sealRandom(other.ref, 32, AAD, within())).rejects.toMatchObject(GONE)
    expect(memberOf(token, 'replica')?.served).toBe(0)
  })

  it('replace a canary in the store that the primary does not open', async () => {
    const [{ ref }, other] = [await copiedKey(), await copiedKey()]
    const first = await start()
    await proven(first, 2)
    await stop(first)
    const foreign = (await store.getCanary(other.ref.versionId)) ?? ''
    await store.putCanary(ref.versionId, foreign)
    const token = await start()
    await proven(token, 2)
    expect(log.lines.some((line) => line.includes('does not open the canary in the store'))).toBe(true)
    expect(await store.getCanary(ref.versionId)).not.toBe(foreign)
    pull('first')
    await roundTrip(token, ref)
  })

  it('prove a version once it was copied, and count it as unproven until then', async () => {
    const { ref, copy } = await copiedKey('none')
    const token = await start()
    await eventually(() => copiesOf(token)?.unproven === 1)
    await roundTrip(token, ref)
    copy()
    await proven(token)
    pull('first')
    await roundTrip(token, ref)
  }, 60_000)

  it('are made on the primary and destroyed on both, or not yet', async () => {
    const { ref } = await copiedKey()
    const token = await start()
    await proven(token)
    const made = keyInMain().ref
    await token.crypto.createMasterKey(made, within())
    expect(await token.crypto.findMasterKey(made, within())).toBe('present')
    const labels = (label: string) =>
      inOtherProcess(
        label,
        `p11.C_FindObjectsInit(session, [])
         const found = p11.C_FindObjects(session, 100)
         output = found.map((one) => p11.C_GetAttributeValue(session, one, [{ type: 3 }])[0].value.toString())`,
        {},
      ) as string[]
    expect(labels('second').some((label) => label.includes(made.keyId))).toBe(false)
    const putBack = pull('second')
    await eventually(async () => {
      await token.crypto.checkHealth('main', ref, within())
      return memberOf(token, 'replica')?.status.state !== 'up' || !(await sees(token, ref))
    })
    await expect(token.crypto.destroyMasterKey(ref, within())).rejects.toMatchObject(GONE)
    expect(labels('first').filter((label) => label.includes(ref.keyId))).toHaveLength(2)
    await roundTrip(token, ref)
    putBack()
    await stop(token)
    const again = await start()
    await again.crypto.destroyMasterKey(ref, within())
    for (const label of ['first', 'second'])
      expect(labels(label).filter((one) => one.includes(ref.keyId))).toHaveLength(0)
  })

  /** Has the replica notice that its token is gone: nothing is sent to it while the primary serves. */
  const sees = (token: ServedToken, ref: MasterKeyRef) =>
    token.crypto.destroyMasterKey(ref, within()).then(
      () => true,
      () => false,
    )
})
