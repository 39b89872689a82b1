import { describe, expect, it } from 'vitest'
import { AWS_OPERATIONS } from '../../src/http/aws/operations.ts'
import { SDK_OPERATIONS } from '../support/aws-model.ts'
import { ALICE } from '../support/kms-fixture.ts'
import { type AwsFixture, awsFixture, MALLORY_KEY } from './aws-fixture.ts'

interface Listing {
  /** Member of the answer, and what tells its rows apart. */
  readonly rows: string
  readonly id: (row: Readonly<Record<string, unknown>>) => unknown
  readonly input: (keyId: string) => object
  /** Makes the row of that number. */
  readonly add: (fixture: AwsFixture, keyId: string, number: number) => Promise<unknown>
  /** Rows whose order is when they came: those that come during a walk are seen at its end. */
  readonly inOrder?: true
}

const principal = `arn:aws:iam::${ALICE.accountId}:user/a`
const grant = (fixture: AwsFixture, KeyId: string, number: number) =>
  fixture.request('CreateGrant', {
    KeyId,
    GranteePrincipal: principal,
    RetiringPrincipal: principal,
    Operations: ['Encrypt'],
    Name: `grant-${number}`,
  })

/** Numbers spread over the alphabet, so that rows come to be before and after where a walk is. */
const spread = (number: number) => `${(number * 7) % 10}-${number}`

const LISTINGS: Readonly<Record<string, Listing>> = {
  ListKeys: {
    rows: 'Keys',
    id: (row) => row['KeyId'],
    input: () => ({}),
    add: (fixture) => fixture.newKey(),
  },
  ListAliases: {
    rows: 'Aliases',
    id: (row) => row['AliasName'],
    input: (KeyId) => ({ KeyId }),
    add: (fixture, TargetKeyId, number) =>
      fixture.request('CreateAlias', { AliasName: `alias/${spread(number)}`, TargetKeyId }),
  },
  ListKeyRotations: {
    rows: 'Rotations',
    id: (row) => row['KeyMaterialId'],
    input: (KeyId) => ({ KeyId }),
    add: (fixture, KeyId) => fixture.request('RotateKeyOnDemand', { KeyId }),
    inOrder: true,
  },
  ListResourceTags: {
    rows: 'Tags',
    id: (row) => row['TagKey'],
    input: (KeyId) => ({ KeyId }),
    add: (fixture, KeyId, number) =>
      fixture.request('TagResource', { KeyId, Tags: [{ TagKey: spread(number), TagValue: '' }] }),
  },
  ListGrants: {
    rows: 'Grants',
    id: (row) => row['GrantId'],
    input: (KeyId) => ({ KeyId }),
    add: grant,
  },
  ListRetirableGrants: {
    rows: 'Grants',
    id: (row) => row['GrantId'],
    input: () => ({ RetiringPrincipal: principal }),
    add: grant,
  },
}

/** There is one policy per key, so one page. */
const ONE_PAGE = ['ListKeyPolicies', 'DescribeCustomKeyStores']

it('knows every listing', () => {
  const paged = SDK_OPERATIONS.filter(
    ({ name, input }) => AWS_OPERATIONS.has(name) && input.includes('Marker'),
  )
  const unknown = paged.filter(({ name }) => !Object.hasOwn(LISTINGS, name) && !ONE_PAGE.includes(name))
  expect(unknown).toEqual([])
})

const THERE = Object.entries(LISTINGS)
  .filter(([operation]) => AWS_OPERATIONS.has(operation))
  .map(([operation, listing]) => ({ operation, ...listing }))

describe.each(THERE)('$operation', ({ operation, rows, id, input, add, inOrder }) => {
  it.each([1, 2, 3])('shows what lasts exactly once while rows come to be, %i at a time', async (Limit) => {
    const fixture = awsFixture()
    const { keyId } = await fixture.newKey()
    let number = 0
    for (; number < 6; number++) await add(fixture, keyId, number)
    const lasting = await idsOf(fixture, { ...input(keyId) })
    expect(lasting.length).toBeGreaterThanOrEqual(6)
    const seen: unknown[] = []
    let Marker: unknown
    for (let pages = 0; pages < 40; pages++) {
      const { json } = await fixture.request(operation, {
        ...input(keyId),
        Limit,
        ...(Marker ? { Marker } : {}),
      })
      const page = json[rows] as Readonly<Record<string, unknown>>[]
      expect(page.length).toBeLessThanOrEqual(Limit)
      seen.push(...page.map(id))
      Marker = json['NextMarker']
      expect(json['Truncated']).toBe(Marker !== undefined)
      if (Marker === undefined) break
      if (number < 12) await add(fixture, keyId, number++)
    }
    expect(Marker).toBeUndefined()
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(expect.arrayContaining(lasting))
    if (inOrder) expect(seen.slice(0, lasting.length)).toEqual(lasting)

    async function idsOf(on: AwsFixture, request: object): Promise<unknown[]> {
      const { json } = await on.request(operation, request)
      expect(json['Truncated']).toBe(false)
      return (json[rows] as Readonly<Record<string, unknown>>[]).map(id)
    }
  })

  it('takes its own markers alone, of its account and region', async () => {
    const fixture = awsFixture()
    const { keyId } = await fixture.newKey()
    for (let number = 0; number < 3; number++) await add(fixture, keyId, number)
    const first = await fixture.request(operation, { ...input(keyId), Limit: 1 })
    const Marker = String(first.json['NextMarker'])
    const again = await fixture.request(operation, { ...input(keyId), Marker })
    expect(again.status).toBe(200)
    const spoilt = `${Marker.slice(0, -1)}${Marker.endsWith('A') ? 'B' : 'A'}`
    for (const wrong of [spoilt, 'x', Marker.slice(1), `${Marker}A`]) {
      const { json } = await fixture.request(operation, { ...input(keyId), Marker: wrong })
      expect([wrong, json['__type']]).toEqual([wrong, 'InvalidMarkerException'])
    }
    const { json } = await fixture.request(operation === 'ListKeys' ? 'ListAliases' : 'ListKeys', { Marker })
    expect(json['__type']).toBe('InvalidMarkerException')
    const theirs = { credential: MALLORY_KEY }
    const elsewhere = { region: 'eu-central-1' }
    for (const options of [theirs, elsewhere]) {
      const refused = await fixture.request(operation, { ...input(keyId), Marker }, options)
      // Who cannot see the key is not told whether the marker is good.
      expect(refused.json['__type']).toMatch(
        /^(?:InvalidMarkerException|NotFoundException|AccessDeniedException)$/,
      )
    }
  })
})
