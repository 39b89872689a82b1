import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { FaultSoak } from '../support/fault-soak.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import {
  describeWith,
  eventually,
  LogRecorder,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
} from '../support/softhsm.ts'

/** scripts/soak sets these. */
const OPERATIONS = Number(process.env['SOAK_OPERATIONS'] ?? 2500)
const PERCENT = Number(process.env['SOAK_PERCENT'] ?? 1)
const SEED = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000)

const FUNCTIONS = [
  'C_EncryptInit',
  'C_Encrypt',
  'C_DecryptInit',
  'C_Decrypt',
  'C_GenerateRandom',
  'C_GenerateKey',
  'C_WrapKey',
  'C_UnwrapKey',
  'C_CreateObject',
  'C_DestroyObject',
  'C_GetAttributeValue',
  'C_FindObjects*',
  'C_OpenSession',
  'C_CloseSession',
].join(',')
/** Of every kind that says something of the token or the session and nothing of what was asked. */
const FAULTS = [
  'CKR_HOST_MEMORY',
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
  'CKR_DEVICE_ERROR',
  'CKR_DEVICE_MEMORY',
  'CKR_DEVICE_REMOVED',
  'CKR_FUNCTION_CANCELED',
  'CKR_KEY_HANDLE_INVALID',
  'CKR_OBJECT_HANDLE_INVALID',
  'CKR_OPERATION_ACTIVE',
  'CKR_OPERATION_NOT_INITIALIZED',
  'CKR_SESSION_CLOSED',
  'CKR_SESSION_COUNT',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_USER_NOT_LOGGED_IN',
  '0x80000011',
]
/** Half of them instead of the real call, half after it succeeded. */
function faultRules(percent: number): string[] {
  const probability = percent / 200
  const values = FAULTS.join(',')
  return ['', ' after-call'].map((when) => `fail ${FUNCTIONS} ${values} probability=${probability}${when}`)
}

/** What befalls the whole token now and then, besides. */
const EVENTS = ['sessions-drop', 'handles-stale', 'logout-drop', 'token-absent', 'latency * 2ms'] as const
const EVENT_INTERVAL_MS = 2000
const EVENT_MS = 100

describeWith([SOFTHSM_MODULE], `${OPERATIONS} calls with a fault in ${PERCENT} % of Cryptoki's`, () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let provider: Pkcs11Provider
  const log = new LogRecorder()

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    softHsm.initToken('soaked')
    chaos = makeChaos(softHsm, [`seed ${SEED}`], { trace: false })
    const settings = settingsFor('soaked', {
      module: chaos.module,
      lanes: { crypto: 2 },
      reconnectDelayMs: 5,
    })
    provider = await startProvider(settings, log)
    expect(provider.status()).toMatchObject({ state: 'up' })
  })

  afterAll(async () => {
    chaos?.clear()
    await provider?.close()
    softHsm?.remove()
  })

  /** Lets one thing after another befall the token until told to stop. */
  const befall = async (stopped: () => boolean): Promise<void> => {
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    for (let round = 0; !stopped(); round += 1) {
      const event = EVENTS[round % EVENTS.length] ?? 'sessions-drop'
      const { generation } = provider.status()
      chaos.set([...faultRules(PERCENT), event])
      await pause(EVENT_MS)
      // No token gives a lost login back by itself, so the rule stands until there is a new one.
      if (event === 'logout-drop')
        await eventually(() => stopped() || provider.status().generation > generation, 60_000)
      chaos.set(faultRules(PERCENT))
      await pause(EVENT_INTERVAL_MS)
    }
  }

  it('never gives a wrong answer, and the token is healthy when they stop', {
    timeout: 60_000 + OPERATIONS * 30,
  }, async () => {
    const soak = new FaultSoak(provider)
    let done = false
    const befalling = befall(() => done)
    await soak.run(OPERATIONS, 8)
    done = true
    await befalling
    chaos.clear()
    const { report } = soak
    const injected = Object.values(chaos.stats()).reduce((sum, row) => sum + row.injected, 0)
    const said = { ...report, injected, seed: SEED, generation: provider.status().generation }
    if (process.env['SOAK_OPERATIONS']) process.stdout.write(`${JSON.stringify(said)}\n`)
    expect(report.wrong, `seed ${SEED}`).toEqual([])
    await soak.verify()
    expect(report.wrong, `seed ${SEED}`).toEqual([])
    expect(provider.status()).toMatchObject({ state: 'up', lanesHung: 0, lanesLost: 0 })
    // That it was no soak in still water.
    expect(injected).toBeGreaterThan(OPERATIONS / 50)
    expect(report.retryable).toBeGreaterThan(0)
    expect(report.answered).toBeGreaterThan(OPERATIONS * 0.7)
  })
})
