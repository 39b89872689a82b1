import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import { KeyDirectory } from '../../../src/core/key-directory.ts'
import type { Kms } from '../../../src/core/kms.ts'
import type { CryptoProvider, MasterKeyRef } from '../../../src/core/ports/crypto-provider.ts'
import { call, kmsOn } from '../../support/kms-fixture.ts'
import { MemoryKeyStore } from '../../support/memory-key-store.ts'
import { SoftwareProvider } from '../../support/software-provider.ts'

const SEALS = ['seal', 'sealRandom', 'sealRandomInside', 'sealKeyPair'] as const
const byId = (key: MasterKey) => ({ kind: 'id', keyId: key.keyId }) as const

const PAIR = { spec: 'EC_P256', presentation: 'pkcs8-der', waitMs: 5_000 } as const

/** The software provider, counting what it seals under each version. */
function countingProvider() {
  const provider = new SoftwareProvider()
  const sealed = new Map<string, number>()
  const count = ({ versionId }: MasterKeyRef) => sealed.set(versionId, (sealed.get(versionId) ?? 0) + 1)
  const counting: CryptoProvider = new Proxy(provider, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return (...args: unknown[]): unknown => {
        const ref = name === 'checkHealth' ? args[1] : args[0]
        if ((SEALS as readonly unknown[]).includes(name) || (name === 'checkHealth' && ref))
          count(ref as MasterKeyRef)
        return Reflect.apply(method, target, args)
      }
    },
  })
  return { provider, counting, sealed }
}

const OPERATIONS: Readonly<Record<string, (kms: Kms, key: MasterKey, blob: Buffer) => Promise<unknown>>> = {
  encrypt: (kms, key) => kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') }),
  generateDataKey: (kms, key) => kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 }),
  generateDataKeyWithoutPlaintext: (kms, key) =>
    kms.generateDataKeyWithoutPlaintext(call(), { key: byId(key), lengthBytes: 32 }),
  generateDataKeyPair: (kms, key) => kms.generateDataKeyPair(call(), { key: byId(key), ...PAIR }),
  generateDataKeyPairWithoutPlaintext: (kms, key) =>
    kms.generateDataKeyPairWithoutPlaintext(call(), { key: byId(key), ...PAIR }),
  reEncrypt: (kms, key, blob) => kms.reEncrypt(call(), { blob, destinationKey: byId(key) }),
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

describe('every seal', () => {
  it.each(Object.entries(OPERATIONS))(
    'of %s takes one invocation, and at the bound it is refused',
    async (_, run) => {
      const { counting, sealed } = countingProvider()
      const { kms } = kmsOn(new MemoryKeyStore(), counting, {
        invocationsMax: 20,
        leaseInvocations: 8,
        rotateAt: 19,
      })
      const [source, key] = [await kms.createKey(call(), {}), await kms.createKey(call(), {})]
      const { blob } = await kms.encrypt(call(), { key: byId(source), plaintext: Buffer.from('x') })
      const own = await kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('own') })
      for (let seal = 1; seal < 20; seal++) expect(await codeOf(run(kms, key, blob))).toBe('done')
      expect(await codeOf(run(kms, key, blob))).toBe('KEY_EXHAUSTED')
      expect(sealed.get(key.primaryVersionId)).toBe(20)
      expect((await kms.decrypt(call(), { blob: own.blob })).plaintext).toEqual(Buffer.from('own'))
    },
  )

  it('that fails in the token counts too', async () => {
    const { counting, provider } = countingProvider()
    const { kms, store } = kmsOn(new MemoryKeyStore(), counting, {
      invocationsMax: 5,
      leaseInvocations: 5,
      rotateAt: 4,
    })
    const key = await kms.createKey(call(), {})
    provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })
    const run = () => codeOf(kms.generateDataKey(call(), { key: byId(key), lengthBytes: 32 }))
    for (let seal = 0; seal < 5; seal++) expect(await run()).toBe('TOKEN_UNAVAILABLE')
    provider.failWith = undefined
    expect(await run()).toBe('KEY_EXHAUSTED')
    expect(await store.mostLeased()).toBe(5)
  })

  it('is refused before the token is asked', async () => {
    const { counting, provider } = countingProvider()
    const { kms, store } = kmsOn(new MemoryKeyStore(), counting)
    const key = await kms.createKey(call(), {})
    store.leaseInvocations = () =>
      Promise.reject(new KmsError('STORE_UNAVAILABLE', 'The key store is not available.', {}))
    const before = provider.calls.length
    expect(await codeOf(kms.encrypt(call(), { key: byId(key), plaintext: Buffer.from('x') }))).toBe(
      'STORE_UNAVAILABLE',
    )
    expect(provider.calls).toHaveLength(before)
  })

  it('of a check with a stored key counts; one with a passing key does not', async () => {
    const { counting } = countingProvider()
    const fixture = kmsOn(new MemoryKeyStore(), counting, {
      invocationsMax: 2,
      leaseInvocations: 2,
      rotateAt: 1,
    })
    const { keyId, primaryVersionId: versionId } = await fixture.kms.createKey(call(), {})
    const ref = { token: 'main', keyId, versionId, versionNumber: 1 }
    const check = (name: MasterKeyRef | undefined) =>
      codeOf(fixture.counted.checkHealth('main', name, { deadlineAt: Date.now() + 5000 }))
    expect([await check(ref), await check(ref), await check(ref)]).toEqual(['done', 'done', 'KEY_EXHAUSTED'])
    expect(await check(undefined)).toBe('done')
  })

  it('of several processes together stays within what was leased, and that within the bound', async () => {
    const operation = fc.constantFrom(...Object.values(OPERATIONS))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(operation, fc.nat(2), fc.boolean()), { minLength: 40, maxLength: 80, size: 'max' }),
        fc.integer({ min: 5, max: 40 }),
        async (calls, invocationsMax) => {
          const { counting, sealed } = countingProvider()
          const fixture = kmsOn(new MemoryKeyStore(), counting, {
            invocationsMax,
            leaseInvocations: 4,
            rotateAt: 1,
          })
          const directory = () =>
            new KeyDirectory(fixture.store, fixture.clock, { maxAgeMs: 1000, entriesMax: 10 })
          const processes = Array.from({ length: 3 }, () => fixture.kmsWith(directory()))
          const key = await fixture.kms.createKey(call(), {})
          const source = await fixture.kms.createKey(call(), {})
          const { blob } = await fixture.kms.encrypt(call(), {
            key: byId(source),
            plaintext: Buffer.from('x'),
          })
          await Promise.all(
            calls.map(async ([run, who, crash]) => {
              const kms = processes[who]
              if (crash) processes[who] = fixture.kmsWith(directory())
              if (kms) expect(['done', 'KEY_EXHAUSTED']).toContain(await codeOf(run(kms, key, blob)))
            }),
          )
          const versionId = key.primaryVersionId
          const { first: leased } = await fixture.store.leaseInvocations(versionId, 1, invocationsMax)
          expect(sealed.get(versionId) ?? 0).toBeLessThanOrEqual(leased)
          expect(leased).toBeLessThanOrEqual(invocationsMax)
        },
      ),
      { numRuns: 50 },
    )
  })
})
