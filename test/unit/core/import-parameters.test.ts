import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import type { CallContext } from '../../../src/core/kms-context.ts'
import { call, kmsFixture } from '../../support/kms-fixture.ts'

let fixture: ReturnType<typeof kmsFixture>
let key: MasterKey
beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), { origin: 'EXTERNAL' })
})

function askFor(context: CallContext, waitMs: number): Promise<string> {
  const input = { keyId: key.keyId, algorithm: 'RSAES_OAEP_SHA_256', spec: 'RSA_2048', waitMs } as const
  return fixture.kms.getParametersForImport(context, input).then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

describe('parameters for an import', () => {
  it('are had eight times at a time for one key, by those who ask at once as well', async () => {
    const codes = await Promise.all(Array.from({ length: 15 }, () => askFor(call(), 5_000)))
    expect(codes.filter((code) => code === 'done')).toHaveLength(8)
    expect(codes.filter((code) => code === 'LIMIT_EXCEEDED')).toHaveLength(7)
    expect(fixture.provider.importPairs.size).toBe(8)
  })

  it('come in time, or their pair is destroyed and counts no more', async () => {
    const { provider, store } = fixture
    const make = provider.createImportPair.bind(provider)
    provider.createImportPair = async (...input) => {
      await delay(400)
      return make(...input)
    }
    const start = performance.now()
    expect(await askFor({ ...call(), deadlineAt: Date.now() + 50 }, 0)).toBe('TOKEN_TIMEOUT')
    expect(performance.now() - start).toBeLessThan(390)
    await vi.waitFor(async () => {
      expect(provider.calls).toContain('destroyImportPair')
      expect(await store.imports.countImportPairs(key.region, key.keyId)).toBe(0)
    })
    expect(provider.importPairs.size).toBe(0)
  })
})
