import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Grant } from '../../src/core/grant.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { ACCOUNT, REGION } from './key-store-samples.ts'

const BUG = { name: 'InvariantError' }
const ALICE = { kind: 'arn', name: 'arn:aws:iam::111122223333:user/alice' } as const
const BOB = { kind: 'arn', name: 'arn:aws:iam::111122223333:user/bob' } as const
const SERVICE = { kind: 'service', name: 'arn:aws:iam::111122223333:user/alice' } as const

export function sampleGrant({ accountId, region, keyId }: MasterKey, changes: Partial<Grant> = {}): Grant {
  return {
    grantId: randomBytes(32).toString('hex'),
    accountId,
    region,
    keyId,
    grantee: ALICE,
    operations: ['Decrypt', 'Encrypt'],
    createdAt: 1_790_000_000_002,
    tokenKey: randomBytes(32).toString('hex'),
    ...changes,
  }
}

type Made = (changes?: Partial<MasterKey>) => Promise<MasterKey>

export function grantClauses(store: () => KeyStore, made: Made): void {
  it('STO-53 a grant comes back as it was stored', async () => {
    const key = await made()
    const constraints = {
      encryptionContextSubset: {},
      encryptionContextEquals: { ö: '\n' },
      sourceArn: 'arn:aws:s3:::b',
    }
    const grants = [
      sampleGrant(key),
      sampleGrant(key, { name: 'n', retiring: BOB, fingerprint: 'f', constraints, grantee: SERVICE }),
    ]
    for (const grant of grants) expect(await store().createGrant(grant, 9)).toStrictEqual(grant)
    for (const grant of grants) expect(await store().getGrant(grant.grantId)).toStrictEqual(grant)
    expect(await store().getGrant('nul\0')).toBeUndefined()
    const again = store().createGrant(grants[0] ?? sampleGrant(key), 9)
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })

  it('STO-53 a grant with a fingerprint is there once per key, also when asked for at the same time', async () => {
    const [key, other] = [await made(), await made()]
    const wanted = Array.from({ length: 5 }, () => sampleGrant(key, { fingerprint: 'f' }))
    const given = await Promise.all(wanted.map((grant) => store().createGrant(grant, 1)))
    expect(new Set(given.map((grant) => grant?.grantId)).size).toBe(1)
    expect(wanted).toContainEqual(given[0])
    const elsewhere = sampleGrant(other, { fingerprint: 'f' })
    expect(await store().createGrant(elsewhere, 1)).toStrictEqual(elsewhere)
  })

  it('STO-53 a key has no more grants than it may', async () => {
    const key = await made()
    const grants = Array.from({ length: 2 }, () => sampleGrant(key))
    for (const grant of grants) await store().createGrant(grant, 2)
    const third = sampleGrant(key)
    expect(await store().createGrant(third, 2)).toBeUndefined()
    expect(await store().getGrant(third.grantId)).toBeUndefined()
    expect(await store().createGrant(third, 3)).toStrictEqual(third)
  })

  it('STO-54, STO-11 grants of a key are listed by id, of one grantee where it is named', async () => {
    const [key, other] = [await made(), await made()]
    const grants = [ALICE, BOB, SERVICE, BOB].map((grantee) => sampleGrant(key, { grantee }))
    for (const grant of [...grants, sampleGrant(other)]) await store().createGrant(grant, 9)
    const sorted = grants.toSorted((a, b) => (a.grantId < b.grantId ? -1 : 1))
    const list = (grantee?: Grant['grantee'], after?: string, limit = 1000) =>
      store().listGrants(REGION, key.keyId, grantee, { after, limit })
    expect(await list()).toStrictEqual(sorted)
    expect(await list(undefined, undefined, 3)).toStrictEqual(sorted.slice(0, 3))
    expect(await list(undefined, sorted[1]?.grantId)).toStrictEqual(sorted.slice(2))
    expect(await list(BOB)).toStrictEqual(sorted.filter(({ grantee }) => grantee === BOB))
    expect(await list(SERVICE)).toStrictEqual([grants[2]])
    await expect(list(undefined, undefined, 1001)).rejects.toMatchObject(BUG)
  })

  it('STO-54 grants that a principal may end are listed over the keys of an account in a region', async () => {
    const keys = [await made(), await made(), await made({ region: 'x' }), await made({ accountId: '9' })]
    const grants = keys.flatMap((key) => [
      sampleGrant(key, { retiring: BOB }),
      sampleGrant(key, { retiring: ALICE }),
      sampleGrant(key),
    ])
    for (const grant of grants) await store().createGrant(grant, 9)
    const mine = grants.filter(
      (grant) => grant.retiring === BOB && grant.region === REGION && grant.accountId === ACCOUNT,
    )
    const sorted = mine.toSorted((a, b) => (a.grantId < b.grantId ? -1 : 1))
    expect(await store().listRetirableGrants(ACCOUNT, REGION, BOB, { limit: 9 })).toStrictEqual(sorted)
    const after = sorted[0]?.grantId
    expect(await store().listRetirableGrants(ACCOUNT, REGION, BOB, { after, limit: 9 })).toStrictEqual(
      sorted.slice(1),
    )
  })

  it('STO-55 a grant ends once, of its own key alone', async () => {
    const [key, other] = [await made(), await made()]
    const grant = sampleGrant(key, { fingerprint: 'f' })
    await store().createGrant(grant, 9)
    expect(await store().deleteGrant(REGION, other.keyId, grant.grantId)).toBe(false)
    expect(await store().deleteGrant('x', key.keyId, grant.grantId)).toBe(false)
    expect(await store().deleteGrant(REGION, key.keyId, grant.grantId)).toBe(true)
    expect(await store().getGrant(grant.grantId)).toBeUndefined()
    expect(await store().deleteGrant(REGION, key.keyId, grant.grantId)).toBe(false)
    const anew = sampleGrant(key, { fingerprint: 'f' })
    expect(await store().createGrant(anew, 9)).toStrictEqual(anew)
  })

  it.each([
    ['no operation', { operations: [] }],
    ['operations in no order', { operations: ['Encrypt', 'Decrypt'] }],
    ['an operation twice', { operations: ['Decrypt', 'Decrypt'] }],
    ['half a millisecond', { createdAt: 0.5 }],
  ] as const)('STO-53 a grant with %s is a bug of the caller', async (_, changes) => {
    const key = await made()
    await expect(store().createGrant(sampleGrant(key, changes), 9)).rejects.toMatchObject(BUG)
  })
}
