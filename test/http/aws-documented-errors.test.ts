import * as sdk from '@aws-sdk/client-kms'
import { expect, it } from 'vitest'
import { CUSTOM_KEY_STORE_OPERATIONS } from '../../src/http/aws/operations/custom-key-stores.ts'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { SERVICE_MODEL } from '../support/aws-model.ts'
import { ALICE_KEY, awsFixture } from './aws-fixture.ts'
import { DOCUMENTED_ERRORS, UNANSWERED } from './documented-errors.ts'
import { prepareDocumentedRequest } from './documented-requests.ts'

const OF_CUSTOM_KEY_STORES = /^(?:CloudHsmCluster|CustomKeyStore|Xks|IncorrectTrustAnchor)/

/** Every error that the service model has for an operation that is carried out here. */
const PAIRS = Object.entries(SERVICE_MODEL.operations)
  .filter(([operation]) => AWS_OPERATIONS.has(operation) && !(operation in CUSTOM_KEY_STORE_OPERATIONS))
  .flatMap(([operation, { errors }]) => errors.map((error) => ({ operation, error })))
  .filter(({ error }) => !OF_CUSTOM_KEY_STORES.test(error))

const provokes = ({ operation, error }: { readonly operation: string; readonly error: string }) =>
  DOCUMENTED_ERRORS[error]?.[operation] ?? DOCUMENTED_ERRORS[error]?.['*']
const isUnanswered = ({ operation, error }: { readonly operation: string; readonly error: string }) =>
  UNANSWERED.some((row) => row.error === error && row.operations.includes(operation))

it('has a way to bring about every documented error of every operation, or says why there is none', () => {
  expect(PAIRS.length).toBeGreaterThan(300)
  expect(PAIRS.filter((pair) => !isUnanswered(pair) && !provokes(pair))).toEqual([])
  const known = new Set(PAIRS.map(({ operation, error }) => `${operation} ${error}`))
  const rows = UNANSWERED.flatMap(({ error, operations }) => operations.map((name) => `${name} ${error}`))
  expect(rows.filter((row) => !known.has(row))).toEqual([])
  expect(rows.length).toBeLessThan(PAIRS.length / 4)
})

it.each(PAIRS.filter((pair) => !isUnanswered(pair)))('$operation: $error', async (pair) => {
  const fixture = awsFixture({ limits: { bodyBytesMax: 262_144 } })
  const endpoint = await fixture.server.listen({ host: '127.0.0.1', port: 0 })
  const client = new sdk.KMSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { ...ALICE_KEY },
    maxAttempts: 1,
  })
  try {
    const prepared = await prepareDocumentedRequest(fixture, pair.operation)
    const input = (await provokes(pair)?.({ fixture, ...prepared })) ?? prepared.input
    client.config.systemClockOffset = fixture.clock.now() - Date.now()
    const error: unknown = await client.send(command(pair.operation, input)).then(
      () => 'answered',
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ name: pair.error })
    expect(error).toBeInstanceOf(Reflect.get(sdk, pair.error))
  } finally {
    client.destroy()
    await fixture.server.close()
  }
})

/** The SDK's command of an operation, of a request as it is on the wire. */
function command(operation: string, input: object): sdk.EncryptCommand {
  const Command = Reflect.get(sdk, `${operation}Command`) as new (input: object) => sdk.EncryptCommand
  const shape = SERVICE_MODEL.shapes[SERVICE_MODEL.operations[operation]?.input ?? '']
  const members = Object.entries(input).map(([name, value]) => {
    const type = SERVICE_MODEL.shapes[shape?.members?.[name] ?? '']?.type
    return [name, type === 'blob' ? Buffer.from(String(value), 'base64') : value] as const
  })
  return new Command(Object.fromEntries(members))
}
