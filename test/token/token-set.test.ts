import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenConfig } from '../../src/config/token-schema.ts'
import type { TokenSet } from '../../src/providers/pkcs11/token-set.ts'
import { findStrayTokens, startTokens } from '../../src/tokens.ts'
import { sampleKey } from '../support/key-store-samples.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'
import {
  describeWith,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  USER_PIN,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')
const SILENT = pino({ level: 'silent' })

const configFor = (name: string): TokenConfig => ({
  name,
  module: SOFTHSM_MODULE,
  label: name,
  pin: { env: 'TOKEN_SET_TEST_PIN' },
  environment: {},
  lanes: 1,
  queueMax: 64,
  laneTimeoutMs: 10_000,
  pairTimeoutMs: 60_000,
  lostLanesMax: 4,
  reconnectDelayMs: 50,
  moduleRestartIntervalMs: 3_600_000,
  allowHostMemory: false,
  userType: 'user',
})

describeWith([SOFTHSM_MODULE], 'the tokens of a configuration', () => {
  let softHsm: SoftHsm
  let tokens: TokenSet

  beforeAll(async () => {
    process.env['TOKEN_SET_TEST_PIN'] = USER_PIN
    softHsm = makeSoftHsm()
    softHsm.initToken('one')
    softHsm.initToken('two')
    tokens = await startTokens(
      ['one', 'two', 'absent'].map(configFor),
      new MemoryKeyStore(),
      SILENT,
      (error) => {
        throw error
      },
    )
  })

  afterAll(async () => {
    await tokens?.close()
    softHsm?.remove()
  })

  it('hold keys apart: what a key names is where its material is', async () => {
    const [inOne, inTwo] = ['one', 'two'].map((token) => ({ ...freshRef(), token }))
    if (!inOne || !inTwo) throw new Error('two refs')
    await tokens.createMasterKey(inOne, within())
    await tokens.createMasterKey(inTwo, within())
    expect(await tokens.findMasterKey(inOne, within())).toBe('present')
    expect(await tokens.findMasterKey({ ...inOne, token: 'two' }, within())).toBe('absent')
    const sealed = await tokens.sealRandom(inTwo, 32, AAD, within())
    expect(await tokens.open(inTwo, 'W0', sealed, AAD, within())).toEqual(sealed.plaintext)
    await expect(tokens.open(inOne, 'W0', sealed, AAD, within())).rejects.toMatchObject({
      code: 'CIPHERTEXT_INVALID',
    })
    await tokens.destroyMasterKey(inOne, within())
    expect(await tokens.findMasterKey(inOne, within())).toBe('absent')
    expect(await tokens.findMasterKey(inTwo, within())).toBe('present')
  })

  it('are told apart in their state', () => {
    const states = tokens.members().map(({ token, member, status }) => [token, member, status.state])
    expect(states).toEqual([
      ['one', 'primary', 'up'],
      ['two', 'primary', 'up'],
      ['absent', 'primary', 'connecting'],
    ])
  })

  it.each(['absent', 'never-configured'])('answer for the token "%s" that it is away', async (token) => {
    const away = { code: 'TOKEN_UNAVAILABLE', details: { token } }
    const ref = { ...freshRef(), token }
    await expect(tokens.sealRandom(ref, 32, AAD, within())).rejects.toMatchObject(away)
    await expect(tokens.createMasterKey(ref, within())).rejects.toMatchObject(away)
    await expect(tokens.generateRandom(token, 8, within())).rejects.toMatchObject(away)
    await expect(tokens.checkHealth(token, undefined, within())).rejects.toMatchObject(away)
  })

  it('are told at start where keys name one that is not among them', async () => {
    const lines: string[] = []
    const log = pino({ base: {} }, { write: (line) => void lines.push(line) })
    const store = new MemoryKeyStore()
    const key = sampleKey({ token: 'sold' })
    for (const one of [key, sampleKey({ token: 'one' }), sampleKey({ token: 'older', state: 'Deleted' })])
      await store.createKey(one)
    const strays = await findStrayTokens(store, ['one', 'two'].map(configFor), log)
    expect(strays).toEqual([{ token: 'sold', keys: 1, keyId: key.keyId }])
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: 50, token: 'sold', keys: 1, keyId: key.keyId, hint: expect.any(String) },
    ])
  })
})
