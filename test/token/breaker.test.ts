import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import type { Pkcs11TokenSettings } from '../../src/providers/pkcs11/settings.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  eventually,
  freshRef,
  LogRecorder,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
  USER_PIN,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE], 'a token in trouble', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let log: LogRecorder
  let provider: Pkcs11Provider

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('trouble')
    chaos = makeChaos(softHsm)
    log = new LogRecorder()
  })

  afterEach(async () => {
    chaos.clear()
    await provider.close()
    softHsm.remove()
  })

  const start = async (overrides: Partial<Pkcs11TokenSettings> = {}) => {
    provider = await startProvider(settingsFor('trouble', { module: chaos.module, ...overrides }), log)
    const ref = freshRef()
    if (provider.available) await provider.createMasterKey(ref, within())
    return { running: provider, ref, seal: () => provider.sealRandom(ref, 32, AAD, within()) }
  }
  const calls = (name: string) => chaos.stats()[name]?.calls ?? 0
  const lines = (message: string) => log.lines.filter((line) => line.includes(message))
  const codesOf = (outcomes: readonly PromiseSettledResult<unknown>[]) => [
    ...new Set(
      outcomes.map((one) => (one.status === 'fulfilled' ? 'ok' : (one.reason as { code: string }).code)),
    ),
  ]

  it('that is pulled is answered for at once, and used again within two seconds of its return', async () => {
    const { running, seal } = await start({ reconnectDelayMs: 1000, lanes: { crypto: 2 } })
    await seal()
    chaos.set('token-absent')
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => !running.available)
    const answeredMs: number[] = []
    for (let i = 0; i < 300; i += 1) {
      const startedAt = performance.now()
      await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
      answeredMs.push(performance.now() - startedAt)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const median = answeredMs.toSorted((a, b) => a - b)[150] ?? Number.NaN
    expect(median).toBeLessThan(5)
    expect(running.status()).toMatchObject({ state: 'connecting', hint: expect.any(String) })
    chaos.clear()
    const backAt = performance.now()
    await eventually(() => running.available)
    const awayMs = performance.now() - backAt
    process.stdout.write(
      `back after ${Math.round(awayMs)} ms; answered in ${median.toFixed(2)} ms until then\n`,
    )
    expect(awayMs).toBeLessThan(4_000)
    expect(running.status()).toMatchObject({ state: 'up', breaker: 'closed', generation: 2, lanesLost: 0 })
    await seal()
    // One line for the loss, one per reason why it could not be reached, one for the return.
    expect(lines('token connection lost')).toHaveLength(1)
    expect(lines('token connected')).toHaveLength(2)
    expect(lines('token not connected').length).toBeLessThanOrEqual(4)
    expect(JSON.parse(lines('token connection lost')[0] ?? '')).toMatchObject({
      token: 'main',
      ckr: expect.stringMatching(/^CKR_/),
      function: expect.stringMatching(/^C_/),
      hint: expect.any(String),
      next: expect.stringContaining('by itself'),
    })
  })

  it('that lost its login is logged in to once, whoever notices', async () => {
    const { running, seal } = await start({ lanes: { crypto: 4 } })
    await seal()
    const before = calls('C_Login')
    chaos.set('logout-drop')
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, seal))
    for (const code of codesOf(outcomes)) expect(['ok', 'TOKEN_UNAVAILABLE']).toContain(code)
    await eventually(() => running.available)
    await Promise.all(Array.from({ length: 50 }, seal))
    expect(calls('C_Login') - before).toBe(1)
    expect(calls('C_Finalize')).toBe(0)
    expect(running.status()).toMatchObject({ generation: 2, reconnects: { CKR_USER_NOT_LOGGED_IN: 1 } })
  })

  it('whose PIN was changed meanwhile sees the old one once, however long it is asked for', async () => {
    let pin = USER_PIN
    const { running, ref, seal } = await start({
      lanes: { crypto: 4 },
      reconnectDelayMs: 5,
      readPin: async () => Buffer.from(pin),
    })
    await seal()
    const before = calls('C_Login')
    pin = 'not-the-pin'
    chaos.set(['logout-drop', 'pin-tries 3'])
    await Promise.allSettled(Array.from({ length: 100 }, seal))
    const until = Date.now() + 3_000
    while (Date.now() < until) {
      await Promise.allSettled([seal(), running.checkHealth('main', ref, within())])
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(calls('C_Login') - before).toBe(1)
    expect(running.status()).toMatchObject({ state: 'down', loginsRefused: 1 })
    pin = USER_PIN
    await eventually(() => running.available)
    expect(calls('C_Login') - before).toBe(2)
    await seal()
  })

  it('is finalized only where logging in anew does not help', async () => {
    const { running, seal } = await start({ lanes: { crypto: 2 } })
    await seal()
    chaos.set('fail C_Encrypt CKR_DEVICE_ERROR times=1')
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => running.available)
    expect(calls('C_Finalize')).toBe(0)
    chaos.set(['fail C_Encrypt CKR_DEVICE_ERROR times=1', 'fail C_Login CKR_DEVICE_ERROR times=1'])
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await eventually(() => running.available)
    expect(calls('C_Finalize')).toBe(1)
    await seal()
    expect(running.status()).toMatchObject({ generation: 3, reconnects: { CKR_DEVICE_ERROR: 2 } })
  })

  it('that fails again and again is neither stormed nor told of without end', async () => {
    const { running, seal } = await start({ reconnectDelayMs: 200 })
    await seal()
    chaos.set('fail C_EncryptInit CKR_DEVICE_ERROR after=20 probability=0.2')
    const before = calls('C_Login')
    const until = Date.now() + 4_000
    while (Date.now() < until) {
      await seal().catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const reconnects = running.status().reconnects['CKR_DEVICE_ERROR'] ?? 0
    expect(reconnects).toBeGreaterThan(3)
    // At least 100 ms apart once the pauses have grown.
    expect(calls('C_Login') - before).toBeLessThan(60)
    expect(log.lines.length).toBeLessThan(20)
    chaos.clear()
    await eventually(() => running.available)
    await seal()
  })

  it('that is short of sessions is served by fewer lanes, and by all once there are more', async () => {
    chaos.set('sessions-max 4')
    const { running, seal } = await start({ lanes: { crypto: 4 } })
    expect(running.status()).toMatchObject({ state: 'up', lanesServing: 1 })
    await Promise.all(Array.from({ length: 100 }, seal))
    const opened = calls('C_OpenSession')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    // It is asked for more with growing pauses.
    expect(calls('C_OpenSession') - opened).toBeLessThan(10)
    expect(lines('lanes wait for a session')).toHaveLength(1)
    chaos.clear()
    await eventually(() => running.status().lanesServing === 4)
    await Promise.all(Array.from({ length: 100 }, seal))
  })

  it('that gives no session anew costs no call while another lane has one', async () => {
    const { running, seal } = await start({ lanes: { crypto: 2 } })
    await Promise.all(Array.from({ length: 20 }, seal))
    // The first lane loses its session and gets no other.
    chaos.set(['fail C_Encrypt CKR_HOST_MEMORY times=1', 'fail C_OpenSession CKR_SESSION_COUNT'])
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    expect(codesOf(await Promise.allSettled(Array.from({ length: 100 }, seal)))).toEqual(['ok'])
    expect(running.status()).toMatchObject({ state: 'up', lanesServing: 1, generation: 1 })
    // The second one, too: nobody can serve, so nobody waits.
    chaos.set(['fail C_Encrypt CKR_HOST_MEMORY times=1', 'fail C_OpenSession CKR_SESSION_COUNT'])
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await Promise.allSettled([seal()])
    const startedAt = performance.now()
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(running.status()).toMatchObject({
      state: 'connecting',
      breaker: 'open',
      lanesServing: 0,
      reason: expect.stringContaining('CKR_SESSION_COUNT'),
      hint: expect.stringContaining('fewer lanes'),
    })
    chaos.clear()
    await eventually(() => running.status().lanesServing === 2)
    expect(running.status()).toMatchObject({ state: 'up', breaker: 'closed', generation: 1 })
    await Promise.all(Array.from({ length: 20 }, seal))
  })

  it('that is out of sessions because it closed none gets them all closed, once nobody could be served for long', async () => {
    // Anchor, control, write, pair and crypto lane.
    chaos.set('sessions-max 5')
    const { running, seal } = await start()
    chaos.set([
      'sessions-max 5',
      'fail C_CloseSession CKR_FUNCTION_FAILED times=1',
      'fail C_Encrypt CKR_HOST_MEMORY times=1',
    ])
    await expect(seal()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    await Promise.allSettled([seal()])
    expect(running.available).toBe(false)
    await eventually(() => running.available, 20_000)
    expect(running.status()).toMatchObject({ generation: 2, reconnects: { sessions: 1 } })
    await seal()
  }, 30_000)

  it('that drops every session is asked once more on new ones', async () => {
    const { running, seal } = await start({ lanes: { crypto: 2 } })
    await Promise.all(Array.from({ length: 20 }, seal))
    chaos.set(['sessions-drop', 'sessions-drop keep-login'].slice(1))
    expect(codesOf(await Promise.allSettled(Array.from({ length: 50 }, seal)))).toEqual(['ok'])
    expect(running.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('that drops every session, and session keys with them, is healthy and takes new keys', async () => {
    const { running, seal } = await start()
    for (let round = 1; round <= 2; round += 1) {
      chaos.set(['sessions-drop keep-login', 'handles-stale'])
      await running.checkHealth('main', undefined, within())
      const closed = calls('C_CloseSession')
      await running.checkHealth('main', undefined, within())
      expect(calls('C_CloseSession')).toBe(closed)
      await Promise.allSettled([running.findMasterKey(freshRef(), within())])
      await running.createMasterKey(freshRef(), within())
      await seal()
      chaos.clear()
    }
    expect(running.status()).toMatchObject({ state: 'up', generation: 1 })
  })

  it('whose handles went stale has the keys looked up once more', async () => {
    const { running, seal } = await start()
    await seal()
    chaos.set('handles-stale')
    const before = calls('C_FindObjectsInit')
    expect(codesOf(await Promise.allSettled(Array.from({ length: 50 }, seal)))).toEqual(['ok'])
    // Two objects, one search for all callers, or one more for those that came between.
    expect(calls('C_FindObjectsInit') - before).toBeLessThanOrEqual(4)
    expect(running.status()).toMatchObject({ state: 'up', generation: 1 })
  })
})
