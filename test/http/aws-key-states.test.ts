import { describe, expect, it } from 'vitest'
import { CUSTOM_KEY_STORE_OPERATIONS } from '../../src/http/aws/operations/custom-key-stores.ts'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture } from './aws-fixture.ts'
import { MULTI_REGION, prepareKeyRequest, SPECS } from './key-requests.ts'

/** What a state says to an operation; `ok` is no word about the state. */
const ANSWERS = {
  ok: undefined,
  disabled: ['DisabledException', 'is disabled.'],
  deleted: ['KMSInvalidStateException', 'is pending deletion.'],
  replicas: ['KMSInvalidStateException', 'is pending replica deletion.'],
  undeleted: ['KMSInvalidStateException', 'is not pending deletion.'],
  unimported: ['KMSInvalidStateException', 'is pending import.'],
} as const
type Answer = keyof typeof ANSWERS

type Column = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingReplicaDeletion' | 'PendingImport'
/** `PendingReplicaDeletion` is as `PendingDeletion`, in other words. */
type Row = readonly [Enabled: Answer, Disabled: Answer, PendingDeletion: Answer, PendingImport: Answer]

const USE: Row = ['ok', 'disabled', 'deleted', 'unimported']
const CHANGE: Row = ['ok', 'ok', 'deleted', 'ok']
const ANY: Row = ['ok', 'ok', 'ok', 'ok']

/** AWS KMS Developer Guide, "Key states of AWS KMS keys": the exception of each operation in each state. */
const TABLE: Readonly<Record<string, Row>> = {
  CancelKeyDeletion: ['undeleted', 'undeleted', 'ok', 'undeleted'],
  CreateAlias: CHANGE,
  CreateGrant: USE,
  Decrypt: USE,
  DeleteAlias: ANY,
  DeriveSharedSecret: USE,
  DescribeKey: ANY,
  DisableKey: ['ok', 'ok', 'deleted', 'unimported'],
  DisableKeyRotation: ['ok', 'disabled', 'deleted', 'ok'],
  EnableKey: ['ok', 'ok', 'deleted', 'unimported'],
  EnableKeyRotation: ['ok', 'disabled', 'deleted', 'ok'],
  Encrypt: USE,
  GenerateDataKey: USE,
  GenerateDataKeyPair: USE,
  GenerateDataKeyPairWithoutPlaintext: USE,
  GenerateDataKeyWithoutPlaintext: USE,
  GenerateMac: USE,
  GetKeyLastUsage: ANY,
  GetKeyPolicy: ANY,
  GetKeyRotationStatus: ANY,
  ListAliases: ANY,
  ListGrants: ANY,
  ListKeyPolicies: ANY,
  ListKeyRotations: ANY,
  ListResourceTags: ANY,
  PutKeyPolicy: ANY,
  ReEncrypt: USE,
  ReplicateKey: USE,
  RotateKeyOnDemand: ['ok', 'disabled', 'deleted', 'unimported'],
  ScheduleKeyDeletion: CHANGE,
  Sign: USE,
  TagResource: CHANGE,
  UntagResource: CHANGE,
  UpdateAlias: CHANGE,
  UpdateKeyDescription: CHANGE,
  UpdatePrimaryRegion: USE,
  Verify: USE,
  VerifyMac: USE,
}

/** Operations on a key that the table says nothing of by the state alone. */
const OTHER_TESTS: Readonly<Record<string, string>> = {
  Decapsulate: 'no token is asked for it',
  DeleteImportedKeyMaterial: 'by origin first',
  Encapsulate: 'no token is asked for it',
  GetParametersForImport: 'by origin first',
  GetPublicKey: 'the table and a later recording differ',
  ImportKeyMaterial: 'by origin first',
  RetireGrant: 'takes a grant',
  RevokeGrant: 'takes a grant',
}
const WITHOUT_KEY = [
  ...Object.keys(CUSTOM_KEY_STORE_OPERATIONS),
  'CreateKey',
  'GenerateRandom',
  'GetCallerIdentity',
  'ListKeys',
  'ListRetirableGrants',
]

const STATES: readonly Column[] = [
  'Enabled',
  'Disabled',
  'PendingDeletion',
  'PendingReplicaDeletion',
  ...(AWS_OPERATIONS.has('GetParametersForImport') ? (['PendingImport'] as const) : []),
]

it('has a place for every operation', () => {
  const known = [...Object.keys(TABLE), ...Object.keys(OTHER_TESTS), ...WITHOUT_KEY]
  expect([...AWS_OPERATIONS.keys()].filter((operation) => !known.includes(operation))).toEqual([])
})

const CASES = Object.entries(TABLE)
  .filter(([operation]) => AWS_OPERATIONS.has(operation))
  .flatMap(([operation, row]) => {
    const [enabled, disabled, pending, unimported] = row
    const replicas = pending === 'deleted' ? 'replicas' : pending
    const answers = {
      Enabled: enabled,
      Disabled: disabled,
      PendingDeletion: pending,
      PendingReplicaDeletion: replicas,
      PendingImport: unimported,
    }
    // Keys of several regions, and those of other specs, are not of imported material so far.
    const imported = !MULTI_REGION.includes(operation) && !(operation in SPECS)
    const states = STATES.filter((state) => state !== 'PendingImport' || imported)
    return states.map((state) => ({ operation, state, expected: answers[state] }))
  })

describe.each(CASES)('$operation of a key that is $state', ({ operation, state, expected }) => {
  it(`is answered: ${expected}`, async () => {
    const fixture = awsFixture()
    const { keyId, input } = await prepareKeyRequest(
      fixture,
      operation,
      state === 'PendingReplicaDeletion',
      state === 'PendingImport',
    )
    await putInto(fixture, keyId, state)
    const { json, status, text } = await fixture.request(operation, input)
    const answer = ANSWERS[expected]
    if (answer) {
      const message = `arn:aws:kms:us-east-1:${ALICE.accountId}:key/${keyId} ${answer[1]}`
      expect([status, json]).toEqual([400, { __type: answer[0], message }])
    } else {
      expect(text).not.toMatch(/InvalidState|DisabledException|KMSInternal|Unavailable|Timeout/)
    }
  })
})

async function putInto(
  { store, directory, request }: AwsFixture,
  keyId: string,
  state: Column,
): Promise<void> {
  if (state === 'PendingImport') {
    await request('DeleteImportedKeyMaterial', { KeyId: keyId })
    return
  }
  const key = await store.getKey('us-east-1', keyId)
  if (!key) throw new Error('the key is not there')
  const deletion = state === 'PendingDeletion' ? { deletionAt: Date.now() + 864_000_000 } : {}
  const window = state === 'PendingReplicaDeletion' ? { deletionWindowDays: 7 } : {}
  await store.replaceKey({
    ...key,
    ...deletion,
    ...window,
    state,
    revision: key.revision + 1,
  })
  await directory.keyChanged('us-east-1', keyId)
}
