import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
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
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE], 'what is found out about a token', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let log: LogRecorder
  let provider: Pkcs11Provider

  beforeEach(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('modes')
    chaos = makeChaos(softHsm)
    log = new LogRecorder()
  })

  afterEach(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  const start = async (rules: readonly string[], overrides = {}) => {
    chaos.set(rules)
    provider = await startProvider(settingsFor('modes', { module: chaos.module, ...overrides }), log)
  }
  const linesOf = (level: string) =>
    log.lines.map((line) => JSON.parse(line)).filter((line) => line.level === level)
  const createKey = async (): Promise<MasterKeyRef> => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    return ref
  }

  it('refuses one without AES-GCM once, with what was tried, what it answered and what to do', async () => {
    await start(['hide-mechanism CKM_AES_GCM'])
    const { state, reason, hint } = provider.status()
    expect(state).toBe('down')
    expect(reason).toBe(
      'The token cannot seal with CKM_AES_GCM. Tried with 12 random bytes as IV: C_EncryptInit returned CKR_MECHANISM_INVALID (0x70); ' +
        'with 12 zero bytes to write its own IV over: C_EncryptInit returned CKR_MECHANISM_INVALID (0x70); ' +
        'without an IV, for its own to follow the tag: C_EncryptInit returned CKR_MECHANISM_INVALID (0x70).',
    )
    expect(hint).toContain('docs/operating/tokens.md')
    const calls = Array.from({ length: 20 }, () => provider.generateRandom('main', 8, within()))
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TOKEN_UNAVAILABLE' } })
    }
    // Many pauses between attempts long.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(chaos.stats()['C_Login']).toMatchObject({ calls: 1 })
    expect(linesOf('error')).toHaveLength(1)
  })

  it('is found out again where the token broke meanwhile, rather than remembered as missing', async () => {
    await start(['fail C_WrapKey CKR_DEVICE_REMOVED times=1'])
    await eventually(() => provider.status().state === 'up', 20_000)
    expect(provider.status()).toMatchObject({ insideSealMode: 'W2' })
    expect(chaos.stats()['C_WrapKey']).toMatchObject({ injected: 1 })
  })

  it('takes session keys and no pairs, and leaves nothing in the token', async () => {
    await start([])
    const functions = chaos.trace().map((call) => call.function)
    expect(functions).toContain('C_WrapKey')
    expect(functions).not.toContain('C_GenerateKeyPair')
    expect(functions).not.toContain('C_CreateObject')
    const ref = await createKey()
    expect(await provider.findMasterKey(ref, within())).toBe('present')
  })

  it.each([
    ['caller', [], ['C_GenerateRandom', 'C_EncryptInit', 'C_Encrypt']],
    ['writtenBack', ['gcm-iv written-back'], ['C_GenerateRandom', 'C_EncryptInit', 'C_Encrypt']],
    ['appended', ['gcm-iv appended'], ['C_GenerateRandom', 'C_EncryptInit', 'C_Encrypt']],
  ] as const)('costs GenerateDataKey no call where the IV is of %s', async (source, rules, expected) => {
    await start(rules)
    expect(provider.status().capabilities?.gcm.ivSource).toBe(source)
    const ref = await createKey()
    await provider.checkHealth('main', ref, within())
    chaos.trace()
    const { plaintext, iv } = await provider.sealRandom(ref, 32, AAD, within())
    const calls = chaos.trace()
    expect(calls.map((call) => call.function)).toEqual(expected)
    // Of the same random bytes, an IV that is told is never part of the data key.
    expect(plaintext.includes(iv)).toBe(false)
  })

  it('allows host memory only where told, warns at the connect, and keeps the key off the log', async () => {
    await start(['hide-mechanism CKM_AES_KEY_WRAP_KWP,CKM_AES_KEY_WRAP_PAD'], { allowHostMemory: true })
    expect(provider.status()).toMatchObject({ state: 'up', insideSealMode: 'hostMemory' })
    const warnings = linesOf('warn')
    expect(warnings).toEqual([
      expect.objectContaining({
        allowHostMemory: true,
        message: 'data keys without plaintext pass through host memory',
      }),
    ])
    const ref = await createKey()
    const sealed = await provider.sealRandomInside(ref, 32, () => AAD, within())
    expect(sealed).toMatchObject({ mode: 'W0', hostMemory: true })
    const key = await provider.open(ref, 'W0', sealed, AAD, within())
    const logged = log.lines.join('\n')
    for (const encoding of ['hex', 'base64'] as const) expect(logged).not.toContain(key.toString(encoding))
  })

  it('logs in as the role that is configured', async () => {
    await start([], { userType: 0x8000_0001 })
    expect(provider.status()).toMatchObject({
      state: 'down',
      reason: 'C_Login returned CKR_USER_TYPE_INVALID (0x103)',
      hint: 'The token does not know that role.',
    })
    const login = chaos.trace().find((call) => call.function === 'C_Login')
    expect(login?.buffers).toContainEqual(expect.objectContaining({ name: 'userType', number: 0x8000_0001 }))
  })

  it('binds master keys to the mechanisms of their role', async () => {
    await start([])
    expect(provider.status().capabilities?.allowedMechanisms).toBe(true)
    chaos.trace()
    await createKey()
    const made = chaos
      .trace()
      .filter((call) => call.function === 'C_GenerateKey' && call.mechanism === 'CKM_AES_KEY_GEN')
    const allowed = made.map(
      ({ buffers }) => buffers.find(({ name }) => name.includes('ALLOWED_MECHANISMS'))?.hex,
    )
    const number = (mechanism: string) => `${mechanism}000000000000`
    expect(allowed).toEqual([number('8710'), ['8710', '0b21', '0a21', '8510'].map(number).join('')])
  })
})
