import { expect, it } from 'vitest'
import { KmsError } from '../../src/core/errors.ts'
import { readinessOf } from '../../src/readiness.ts'
import { call, kmsFixture } from '../support/kms-fixture.ts'

async function fixtureWithKey() {
  const fixture = kmsFixture({ invocationsMax: 2, leaseInvocations: 2, rotateAt: 1 })
  await fixture.kms.createKey(call(), {})
  const { store, counted: provider } = fixture
  const log = { info: () => undefined, warn: () => undefined }
  const ready = () =>
    readinessOf({ store, provider, token: 'main', statusOf: () => ({ reason: 'It is gone.' }), log })
  return { ...fixture, ready }
}

it('a token is as ready when its keys may not be sealed with any more', async () => {
  const { ready, provider } = await fixtureWithKey()
  for (let check = 0; check < 4; check++) expect((await ready()).ready).toBe(true)
  expect(provider.calls.filter((name) => name === 'checkHealth').length).toBe(5)
})

it('a token is as ready when no invocation can be leased for the check', async () => {
  const { ready, store } = await fixtureWithKey()
  store.leaseInvocations = () => Promise.reject(new KmsError('STORE_UNAVAILABLE', 'Away.', {}))
  expect((await ready()).components['token:main']).toEqual({ ok: true })
})

it('a token that fails with a stored key is not ready', async () => {
  const { ready, provider } = await fixtureWithKey()
  provider.failWith = new KmsError('TOKEN_UNAVAILABLE', 'The token is gone.', { token: 'main' })
  expect((await ready()).components['token:main']).toEqual({ ok: false, reason: 'It is gone.' })
})
