import { createPrivateKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import type { Pkcs11Provider } from '../../src/providers/pkcs11/provider.ts'
import { makeChaos } from '../support/p11chaos.ts'
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

/** What crossed the Cryptoki boundary. */
interface Crossing {
  readonly functions: readonly string[]
  readonly buffers: readonly Buffer[]
}

/** A module that stands before SoftHSM and sees everything. */
interface Watcher {
  readonly module: string
  /** What crossed since it was last taken. */
  take(): Crossing
}

/** Two that have nothing in common, so that neither has to be believed alone. */
const WATCHERS: Readonly<
  Record<string, { readonly files: readonly string[]; readonly watch: (softHsm: SoftHsm) => Watcher }>
> = {
  'pkcs11-spy': { files: [SOFTHSM_MODULE, SPY_MODULE], watch: watchBySpy },
  p11chaos: { files: [SOFTHSM_MODULE], watch: watchByChaos },
}

for (const [name, { files, watch }] of Object.entries(WATCHERS)) {
  describeWith(files, `what crosses the Cryptoki boundary, as ${name} sees it,`, () => boundarySuite(watch))
}

function boundarySuite(watch: (softHsm: SoftHsm) => Watcher): void {
  let softHsm: SoftHsm
  let provider: Pkcs11Provider
  let watcher: Watcher

  beforeAll(async () => {
    softHsm = makeSoftHsm()
    watcher = watch(softHsm)
    softHsm.initToken('watched')
    provider = await startProvider(settingsFor('watched', { module: watcher.module }))
    expect(provider.status()).toMatchObject({ state: 'up' })
  })

  afterAll(async () => {
    await provider?.close()
    softHsm?.remove()
  })

  /** What crossed while `work` ran. */
  const traced = async <T>(work: () => Promise<T>): Promise<readonly [result: T, crossing: Crossing]> => {
    watcher.take()
    const result = await work()
    return [result, watcher.take()]
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
      expect(making.buffers.length).toBeGreaterThan(3)
      expect(holds(making, dataKey)).toBe(false)
      expect(holds(opening, dataKey)).toBe(true)
    }
  })

  it.each(['RSA_2048', 'EC_P256', 'EC_P384', 'EC_P521', 'EC_SECP256K1'] as const)(
    'is never the private key of a %s pair that nobody asked to see, nor a number of it',
    async (spec) => {
      const ref = await preparedKey()
      const sealInside = () => provider.sealKeyPair(ref, { spec, readable: false }, () => AAD, within(90_000))
      // The first of its kind is preceded by a pair of nobody's, which is read out.
      await sealInside()
      const [sealed, making] = await traced(sealInside)
      const [pkcs8, opening] = await traced(() => provider.open(ref, sealed.mode, sealed, AAD, within()))
      expect(making.functions.filter((name) => /Pair|Wrap/.test(name))).toEqual([
        'C_GenerateKeyPair',
        'C_WrapKey',
      ])
      const secrets = secretNumbers(pkcs8)
      expect(secrets.length).toBe(spec === 'RSA_2048' ? 6 : 1)
      for (const secret of secrets) {
        expect(secret.length).toBeGreaterThanOrEqual(28)
        expect(holds(making, secret)).toBe(false)
        expect(holds(opening, secret)).toBe(true)
      }
    },
    60_000,
  )

  it('is not searched for a key that was just made', async () => {
    const ref = freshRef()
    await provider.createMasterKey(ref, within())
    const [, crossing] = await traced(async () => {
      await provider.seal(ref, AAD, AAD, within())
      await provider.sealRandomInside(ref, 32, () => AAD, within())
    })
    expect(crossing.functions).toContain('C_WrapKey')
    expect(crossing.functions.filter((name) => name.startsWith('C_FindObjects'))).toEqual([])
  })

  it('is, in sealRandom, a data key and nothing that has to be searched', async () => {
    const ref = await preparedKey()
    const [made, crossing] = await traced(() => provider.sealRandom(ref, 32, AAD, within()))
    expect(holds(crossing, made.plaintext)).toBe(true)
    expect(crossing.functions).toEqual(['C_GenerateRandom', 'C_EncryptInit', 'C_Encrypt'])
  })

  it('is not touched by a call whose deadline has passed', async () => {
    const ref = await preparedKey()
    const timings = { queueMs: 0, tokenMs: 0 }
    const late = () =>
      provider.sealRandom(ref, 32, AAD, { deadlineAt: Date.now() - 1, timings }).catch((error) => error)
    const [error, crossing] = await traced(late)
    expect(error).toMatchObject({ code: 'TOKEN_TIMEOUT' })
    expect(crossing.functions).toEqual([])
    expect(timings.tokenMs).toBe(0)
  })

  it('is one C_Login with a wrong PIN, and no second one', async () => {
    await provider.close()
    watcher.take()
    const wrong = settingsFor('watched', {
      module: watcher.module,
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
    expect(watcher.take().functions.filter((name) => name === 'C_Login')).toHaveLength(1)
    expect(JSON.stringify(provider.status())).not.toContain('wrong-pin-314')
  })
}

function watchBySpy(softHsm: SoftHsm): Watcher {
  const trace = join(softHsm.directory, 'trace')
  process.env['PKCS11SPY'] = SOFTHSM_MODULE
  process.env['PKCS11SPY_OUTPUT'] = trace
  let taken = 0
  const take = () => {
    if (!existsSync(trace)) return { functions: [], buffers: [] }
    const text = readFileSync(trace).subarray(taken).toString('latin1')
    taken += text.length
    return { functions: functionsIn(text), buffers: buffersIn(text) }
  }
  return { module: SPY_MODULE, take }
}

function watchByChaos(softHsm: SoftHsm): Watcher {
  const chaos = makeChaos(softHsm)
  const take = () => {
    const calls = chaos.trace()
    const buffers = calls.flatMap((call) => call.buffers.map(({ hex }) => Buffer.from(hex ?? '', 'hex')))
    return { functions: calls.map((call) => call.function), buffers }
  }
  return { module: chaos.module, take }
}

/** The secret numbers of a private key, without leading zeros: d, p, q, dP, dQ and qInv of RSA, the scalar of a curve. */
function secretNumbers(pkcs8: Buffer): Buffer[] {
  const jwk = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
  return [jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi]
    .filter((text) => text !== undefined)
    .map((text) => Buffer.from(text, 'base64url'))
    .map((bytes) => bytes.subarray(bytes.findIndex((byte) => byte !== 0)))
}

/** Whether a buffer holds the secret, or the first 16 bytes of it. */
function holds({ buffers }: Crossing, secret: Buffer): boolean {
  return buffers.some((buffer) => buffer.includes(secret.subarray(0, 16)))
}

/** Buffers of the spy's trace, from its hex dumps: lines of 16 bytes that begin with their offset. */
function buffersIn(text: string): Buffer[] {
  const buffers: string[] = []
  for (const [, offset, hex] of text.matchAll(/^ {4}([0-9A-F]{8}) {2}((?:[0-9A-F]{2} ){1,16})/gm)) {
    if (offset === '00000000') buffers.push('')
    buffers.push(`${buffers.pop() ?? ''}${hex ?? ''}`)
  }
  return buffers.map((hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex'))
}

function functionsIn(text: string): string[] {
  return [...text.matchAll(/^\d+: (C_\w+)$/gm)].map(([, name]) => name ?? '')
}
