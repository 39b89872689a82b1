import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import {
  describeWith,
  freshRef,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  SPY_MODULE,
  settingsFor,
  startProvider,
  within,
} from '../support/softhsm.ts'

const AAD = Buffer.from('aad')

describeWith([SOFTHSM_MODULE, SPY_MODULE], 'what crosses the Cryptoki boundary', () => {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let trace: string

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    trace = join(softHsm.directory, 'trace')
    process.env['PKCS11SPY'] = SOFTHSM_MODULE
    process.env['PKCS11SPY_OUTPUT'] = trace
    softHsm.initToken('spied')
    provider = await startProvider(settingsFor('spied', { module: SPY_MODULE }))
    expect(provider.status()).toMatchObject({ state: 'up' })
  })

  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  /** What was traced while `work` ran. */
  const traced = async <T>(work: () => Promise<T>): Promise<readonly [result: T, text: string]> => {
    const before = readFileSync(trace).length
    const result = await work()
    return [result, readFileSync(trace).subarray(before).toString('latin1')]
  }

  const preparedKey = async (): Promise<MasterKeyRef> => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    await provider.checkHealth('main', ref, within())
    return ref
  }

  it('is never a data key that sealRandomInside makes, and is one when it is opened', async () => {
    const ref = await preparedKey()
    for (const lengthBytes of [16, 32, 33, 64, 1024]) {
      const [sealed, making] = await traced(() =>
        provider.sealRandomInside(ref, lengthBytes, () => AAD, within()),
      )
      const [dataKey, opening] = await traced(() => provider.open(ref, 'W2', sealed, AAD, within()))
      expect(dataKey.length).toBe(lengthBytes)
      expect(buffersIn(making).length).toBeGreaterThan(3)
      expect(holds(making, dataKey)).toBe(false)
      expect(holds(opening, dataKey)).toBe(true)
    }
  })

  it('is not searched for a key that was just made', async () => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    const [, text] = await traced(async () => {
      await provider.seal(ref, AAD, AAD, within())
      await provider.sealRandomInside(ref, 32, () => AAD, within())
    })
    expect(functionsIn(text)).toContain('C_WrapKey')
    expect(functionsIn(text).filter((name) => name.startsWith('C_FindObjects'))).toEqual([])
  })

  it('is, in sealRandom, a data key and nothing that has to be searched', async () => {
    const ref = await preparedKey()
    const [made, text] = await traced(() => provider.sealRandom(ref, 32, AAD, within()))
    expect(holds(text, made.plaintext)).toBe(true)
    expect(functionsIn(text)).toEqual(['C_GenerateRandom', 'C_EncryptInit', 'C_Encrypt'])
  })

  it('is not touched by a call whose deadline has passed', async () => {
    const ref = await preparedKey()
    const timings = { queueMs: 0, tokenMs: 0 }
    const late = () =>
      provider.sealRandom(ref, 32, AAD, { deadlineAt: Date.now() - 1, timings }).catch((error) => error)
    const [error, text] = await traced(late)
    expect(error).toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(functionsIn(text)).toEqual([])
    expect(timings.tokenMs).toBe(0)
  })

  it('is one C_Login with a wrong PIN, and no second one', async () => {
    await provider.close()
    const before = readFileSync(trace).length
    const wrong = settingsFor('spied', {
      module: SPY_MODULE,
      readPin: async () => Buffer.from('wrong-pin-314'),
    })
    provider = await startProvider(wrong)
    expect(provider.status()).toMatchObject({
      state: 'down',
      reason: 'C_Login returned CKR_PIN_INCORRECT (0xa0)',
      hint: expect.stringContaining('never tried twice'),
    })
    const attempts = Array.from({ length: 5 }, () => provider.generateRandom('main', 8, within()))
    for (const outcome of await Promise.allSettled(attempts)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TOKEN_UNAVAILABLE' } })
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    const text = readFileSync(trace).subarray(before).toString('latin1')
    expect(functionsIn(text).filter((name) => name === 'C_Login')).toHaveLength(1)
    expect(JSON.stringify(provider.status())).not.toContain('wrong-pin-314')
  })
})

/** Buffers of a trace, from its hex dumps: lines of 16 bytes that begin with their offset. */
function buffersIn(text: string): Buffer[] {
  const buffers: string[] = []
  for (const [, offset, hex] of text.matchAll(/^ {4}([0-9A-F]{8}) {2}((?:[0-9A-F]{2} ){1,16})/gm)) {
    if (offset === '00000000') buffers.push('')
    buffers.push(`${buffers.pop() ?? ''}${hex ?? ''}`)
  }
  return buffers.map((hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

/** Whether a buffer of the trace holds the secret, or the first 16 bytes of it. */
function holds(text: string, secret: Buffer): boolean {
  return buffersIn(text).some((buffer) => buffer.includes(secret.subarray(0, 16)))
}

function functionsIn(text: string): string[] {
  return [...text.matchAll(/^\d+: (C_\w+)$/gm)].map(([, name]) => name ?? '')
}
