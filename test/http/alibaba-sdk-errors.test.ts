import { afterEach, describe, expect, it, vi } from 'vitest'
import { OPENAPI_FAULT_CODES } from '../../src/http/alibaba/openapi/fault.ts'
import { type Members, type SdkCall, type SdkCredential, sdkCalls } from '../support/alibaba-clients.ts'
import { ALICE_ACS, alibabaFixture } from './alibaba-fixture.ts'
import { OPENAPI_ERRORS, UNSEEN_BY_SDKS } from './openapi-errors.ts'

const CLIENTS = Object.keys(sdkCalls('http://127.0.0.1:1', ALICE_ACS))
const CASES = Object.entries(OPENAPI_ERRORS)

afterEach(() => {
  vi.useRealTimers()
})

it('has a way to bring about every code, or says why no SDK is told of it', () => {
  const known = [...Object.keys(OPENAPI_ERRORS), ...Object.keys(UNSEEN_BY_SDKS)]
  expect(known.toSorted()).toEqual(OPENAPI_FAULT_CODES.toSorted())
})

describe.each(CLIENTS)('%s', (name) => {
  it.each(CASES)('is told %s', async (code, provoke) => {
    const taken: { nonces: boolean } = { nonces: true }
    const nonces = { take: async () => taken.nonces }
    const fixture = alibabaFixture({ nonces })
    const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
    const as = (credential: SdkCredential): SdkCall => {
      const request = sdkCalls(endpoint, credential)[name]
      return request ?? expect.fail(name)
    }
    const refuseNonces = () => {
      taken.nonces = false
    }
    try {
      const asked = provoke({ fixture, as, request: as(ALICE_ACS), refuseNonces })
      const error = await asked.then(
        (answer: Members) => expect.fail(`answered: ${JSON.stringify(answer)}`),
        (reason: unknown) => reason,
      )
      // SDKs that find a text after the code make both the name of the error.
      expect(error).toMatchObject({ code: expect.stringMatching(new RegExp(`^${code}(?::|$)`)) })
      expect((error as Error).message).not.toBe('')
    } finally {
      await fixture.server.close()
    }
  })
})
