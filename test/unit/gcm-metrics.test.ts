import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import { GcmBudget } from '../../src/core/gcm-budget.ts'
import { addGcmMetrics } from '../../src/gcm-metrics.ts'
import { call, kmsFixture } from '../support/kms-fixture.ts'

const quiet = { warn: () => undefined, error: () => undefined }

it('/metrics shows the least that is left, leases, refusals and rotations, and outlives the store', async () => {
  const settings = { invocationsMax: 40, leaseInvocations: 4, rotateAt: 30 }
  const { kms, store, clock, rotation } = kmsFixture(settings)
  const budget = new GcmBudget({ ledger: store, clock, log: quiet, settings })
  const registry = new Registry()
  addGcmMetrics(registry, { ledger: store, budget, rotation, invocationsMax: 40 })
  const shown = async () =>
    Object.fromEntries(
      (await registry.metrics())
        .split('\n')
        .filter((line) => line.startsWith('p11kms_'))
        .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    )
  expect(await shown()).toMatchObject({ p11kms_gcm_invocations_left: 40, p11kms_gcm_refusals_total: 0 })
  const key = await kms.createKey(call(), {})
  await kms.createKey(call(), {})
  const name = { keyId: key.keyId, versionId: key.primaryVersionId }
  for (let taken = 0; taken < 40; taken++) await budget.take(name)
  await expect(budget.take(name)).rejects.toMatchObject({ code: 'KEY_EXHAUSTED' })
  expect(await shown()).toEqual({
    p11kms_gcm_invocations_left: 0,
    p11kms_gcm_refusals_total: 1,
    'p11kms_gcm_leases_total{outcome="ok"}': 10,
    'p11kms_gcm_leases_total{outcome="failed"}': 0,
    'p11kms_key_rotations_total{outcome="ok"}': 0,
    'p11kms_key_rotations_total{outcome="failed"}': 0,
  })
  await rotation.run()
  const after = { p11kms_gcm_invocations_left: 40, 'p11kms_key_rotations_total{outcome="ok"}': 1 }
  expect(await shown()).toMatchObject(after)
  store.mostLeased = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'Away.', {}))
  expect(await shown()).toMatchObject(after)
})
