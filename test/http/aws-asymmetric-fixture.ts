import { createPublicKey, type KeyObject } from 'node:crypto'
import { beforeEach, expect } from 'vitest'
import { KEY_SPECS, type KeySpec, keySpecRow } from '../../src/core/key-spec.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'
import { ok as answerOf, newKey as newKeyId, type Values } from './recorded-case.ts'

export const ARN = `arn:aws:kms:us-east-1:${ALICE.accountId}:key/`
export const BLOB = expect.stringMatching(/^[A-Za-z0-9+/]+=*$/)
export const MESSAGE = Buffer.from('to be signed')
export const Message = MESSAGE.toString('base64')
export const bytesOf = (text: unknown) => Buffer.from(String(text), 'base64')

/** Each spec with each of its usages. */
export const USAGES = (Object.keys(KEY_SPECS) as KeySpec[]).flatMap((spec) =>
  keySpecRow(spec).usages.map((usage) => [spec, usage] as const),
)

export const RSA_OAEP = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256']

export interface NewKey {
  readonly KeyId: string
  readonly arn: string
}

/** The server on doubles, new before each test, and calls of it. To be called once in a file. */
export function asymmetricFixture() {
  let fixture: AwsFixture
  beforeEach(() => {
    fixture = awsFixture()
  })

  /** Calls an operation that must succeed. */
  const ok = (operation: string, input: object): Promise<Values> => answerOf(fixture, operation, input)

  /** Name and text of the fault. */
  async function fault(operation: string, input: object): Promise<readonly [unknown, unknown]> {
    const { status, json } = await fixture.request(operation, input)
    expect([400, 500]).toContain(status)
    return [json['__type'], json['message']]
  }

  async function newKey(KeySpec: string, KeyUsage: string): Promise<NewKey> {
    const KeyId = await newKeyId(fixture, { KeySpec, KeyUsage })
    return { KeyId, arn: `${ARN}${KeyId}` }
  }

  async function publicKeyOf({ KeyId }: NewKey): Promise<KeyObject> {
    const { PublicKey } = await ok('GetPublicKey', { KeyId })
    return createPublicKey({ key: bytesOf(PublicKey), format: 'der', type: 'spki' })
  }

  return { fixture: () => fixture, ok, fault, newKey, publicKeyOf }
}
