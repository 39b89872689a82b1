import { randomUUID } from 'node:crypto'
import { beforeEach, expect, it } from 'vitest'
import type { AccessPoint, AccessPolicy, ClientKey } from '../../src/core/client-key.ts'
import type { AccessStore } from '../../src/core/ports/access-store.ts'

const NOW = 1_790_000_000_000
const HOME = { accountId: '111122223333', region: 'cn-hangzhou' }
const ELSEWHERE = [
  { ...HOME, region: 'cn-beijing' },
  { ...HOME, accountId: '444455556666' },
]

const policy = (name: string, more: Partial<AccessPolicy> = {}): AccessPolicy => ({
  ...HOME,
  name,
  description: `policy "${name}" ü`,
  permissions: ['RbacPermission/Template/CryptoServiceKeyUser'],
  resources: ['key/*'],
  createdAt: NOW,
  ...more,
})
const point = (name: string, more: Partial<AccessPoint> = {}): AccessPoint => ({
  ...HOME,
  name,
  description: '',
  policies: ['one', 'two'],
  createdAt: NOW,
  ...more,
})
const clientKey = (accessPoint: string, more: Partial<ClientKey> = {}): ClientKey => ({
  ...HOME,
  clientKeyId: `KAAP.${randomUUID()}`,
  accessPoint,
  publicKey: Buffer.from([0x30, 0, 255]),
  createdAt: NOW,
  notBefore: NOW,
  notAfter: NOW + 1000,
  ...more,
})

/** The behaviour that every AccessStore owes its callers; each backend's test file calls this once. */
export function accessStoreContract(open: () => Promise<AccessStore>): void {
  let store: AccessStore
  beforeEach(async () => {
    store = await open()
  })

  it('ACS-1 gives back what was stored, in its account and region alone', async () => {
    await store.createAccessPolicy(policy('a'), 9)
    await store.createAccessPoint(point('a'), 9)
    await store.createAccessPolicy(policy('i', { instance: 'kst-ü' }), 9)
    expect(await store.getAccessPolicy({ ...HOME, name: 'a' })).toStrictEqual(policy('a'))
    expect(await store.getAccessPolicy({ ...HOME, name: 'i' })).toMatchObject({ instance: 'kst-ü' })
    expect(await store.getAccessPoint({ ...HOME, name: 'a' })).toStrictEqual(point('a'))
    for (const place of [...ELSEWHERE.map((home) => ({ ...home, name: 'a' })), { ...HOME, name: 'A' }]) {
      expect(await store.getAccessPolicy(place)).toBeUndefined()
      expect(await store.getAccessPoint(place)).toBeUndefined()
    }
  })

  it('ACS-2 refuses a name that is taken, and one more than there may be', async () => {
    await store.createAccessPolicy(policy('a'), 2)
    await store.createAccessPoint(point('a'), 1)
    await expect(store.createAccessPolicy(policy('a'), 9)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await expect(store.createAccessPoint(point('a'), 9)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await expect(store.createAccessPoint(point('b'), 1)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(await store.listAccessPoints(HOME.accountId, HOME.region)).toStrictEqual([point('a')])
    for (const home of ELSEWHERE) await store.createAccessPoint(point('a', home), 1)
    await store.createAccessPolicy(policy('b'), 2)
    await expect(store.createAccessPolicy(policy('c'), 2)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })

  const named = { ...HOME, name: 'a' }

  it('ACS-3 changes what is there, and keeps its name and when it was created', async () => {
    expect(await store.changeAccessPolicy(named, (before) => before)).toBe(false)
    expect(await store.changeAccessPoint(named, (before) => before)).toBe(false)
    await store.createAccessPolicy(policy('a'), 9)
    await store.createAccessPoint(point('a'), 9)
    for (const home of ELSEWHERE) {
      await store.createAccessPolicy(policy('a', home), 9)
      await store.createAccessPoint(point('a', home), 9)
    }
    const changed = { description: 'changed', name: 'b', createdAt: NOW + 5 }
    const withOne = (before: AccessPolicy) => ({ ...before, ...changed, resources: ['key/x'] })
    expect(await store.changeAccessPolicy(named, withOne)).toBe(true)
    const withNone = (before: AccessPoint) => ({ ...before, ...changed, policies: [] })
    expect(await store.changeAccessPoint(named, withNone)).toBe(true)
    for (const home of ELSEWHERE) {
      expect(await store.getAccessPolicy({ ...home, name: 'a' })).toStrictEqual(policy('a', home))
      expect(await store.getAccessPoint({ ...home, name: 'a' })).toStrictEqual(point('a', home))
    }
    expect(await store.listAccessPolicies(HOME.accountId, HOME.region)).toStrictEqual([
      policy('a', { description: 'changed', resources: ['key/x'] }),
    ])
    expect(await store.getAccessPoint({ ...HOME, name: 'a' })).toStrictEqual(
      point('a', { description: 'changed', policies: [] }),
    )
  })

  it('ACS-3 of changes at the same time each sees what those before it did', async () => {
    await store.createAccessPolicy(policy('a', { resources: [] }), 9)
    await store.createAccessPoint(point('a', { policies: [] }), 9)
    const names = ['one', 'two', 'three', 'four']
    await Promise.all(
      names.flatMap((name) => [
        store.changeAccessPolicy(named, (before) => ({ ...before, resources: [...before.resources, name] })),
        store.changeAccessPoint(named, (before) => ({ ...before, policies: [...before.policies, name] })),
      ]),
    )
    expect((await store.getAccessPolicy(named))?.resources.toSorted()).toEqual(names.toSorted())
    expect((await store.getAccessPoint(named))?.policies.toSorted()).toEqual(names.toSorted())
  })

  it('ACS-4 lists by the bytes of the names', async () => {
    for (const name of ['b', '\u{10000}', 'a', '\uffff', 'B']) {
      await store.createAccessPolicy(policy(name), 9)
      await store.createAccessPoint(point(name), 9)
    }
    await store.createAccessPolicy(policy('z', ELSEWHERE[0]), 9)
    const names = ['B', 'a', 'b', '\uffff', '\u{10000}']
    const policies = await store.listAccessPolicies(HOME.accountId, HOME.region)
    const points = await store.listAccessPoints(HOME.accountId, HOME.region)
    expect(policies.map(({ name }) => name)).toEqual(names)
    expect(points.map(({ name }) => name)).toEqual(names)
  })

  it('ACS-5 keeps client keys of access points that are there, found by id alone', async () => {
    expect(await store.createClientKey(clientKey('a'), 9)).toBe(false)
    await store.createAccessPoint(point('a'), 9)
    const [first, second] = [clientKey('a'), clientKey('a')]
    expect(await store.createClientKey(first, 2)).toBe(true)
    expect(await store.createClientKey(second, 2)).toBe(true)
    await expect(store.createClientKey(clientKey('a'), 2)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await expect(store.createClientKey(first, 9)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store.getClientKey(first.clientKeyId)).toStrictEqual(first)
    expect(await store.getClientKey('KAAP.x')).toBeUndefined()
    const byId = [first, second].toSorted((a, b) => (a.clientKeyId < b.clientKeyId ? -1 : 1))
    expect(await store.listClientKeys({ ...HOME, name: 'a' })).toStrictEqual(byId)
    expect(await store.listClientKeys({ ...HOME, name: 'b' })).toStrictEqual([])
  })

  it('ACS-6 deletes a client key for its own account and region alone', async () => {
    await store.createAccessPoint(point('a'), 9)
    const key = clientKey('a')
    await store.createClientKey(key, 9)
    for (const { accountId, region } of ELSEWHERE) {
      expect(await store.deleteClientKey(accountId, region, key.clientKeyId)).toBe(false)
    }
    expect(await store.deleteClientKey(HOME.accountId, HOME.region, key.clientKeyId)).toBe(true)
    expect(await store.deleteClientKey(HOME.accountId, HOME.region, key.clientKeyId)).toBe(false)
    expect(await store.getClientKey(key.clientKeyId)).toBeUndefined()
  })

  it('ACS-7 an access point takes its client keys along, and nothing else', async () => {
    for (const name of ['a', 'b']) await store.createAccessPoint(point(name), 9)
    await store.createAccessPolicy(policy('a'), 9)
    const [gone, kept] = [clientKey('a'), clientKey('b')]
    await store.createClientKey(gone, 9)
    await store.createClientKey(kept, 9)
    expect(await store.deleteAccessPoint({ ...HOME, name: 'a' })).toBe(true)
    expect(await store.deleteAccessPoint({ ...HOME, name: 'a' })).toBe(false)
    expect(await store.getClientKey(gone.clientKeyId)).toBeUndefined()
    expect(await store.getClientKey(kept.clientKeyId)).toStrictEqual(kept)
    expect(await store.deleteAccessPolicy({ ...HOME, name: 'a' })).toBe(true)
    expect(await store.deleteAccessPolicy({ ...HOME, name: 'a' })).toBe(false)
  })

  it('ACS-8 keeps no text that a database would change', async () => {
    const refused = { code: 'REQUEST_INVALID' }
    await store.createAccessPoint(point('sound'), 9)
    for (const bad of ['\0', '\ud800']) {
      await expect(store.createAccessPolicy(policy(bad), 9)).rejects.toMatchObject(refused)
      await expect(store.createAccessPolicy(policy('a', { resources: [bad] }), 9)).rejects.toMatchObject(
        refused,
      )
      await expect(store.createAccessPoint(point('a', { policies: [bad] }), 9)).rejects.toMatchObject(refused)
      expect(await store.changeAccessPoint({ ...HOME, name: bad }, (before) => before)).toBe(false)
      const worse = store.changeAccessPoint({ ...HOME, name: 'sound' }, (one) => ({
        ...one,
        policies: [bad],
      }))
      await expect(worse).rejects.toMatchObject(refused)
      await expect(store.createClientKey(clientKey(bad), 9)).rejects.toMatchObject(refused)
      expect(await store.getAccessPolicy({ ...HOME, name: bad })).toBeUndefined()
      expect(await store.getClientKey(bad)).toBeUndefined()
      expect(await store.deleteAccessPoint({ ...HOME, name: bad })).toBe(false)
      expect(await store.listClientKeys({ ...HOME, name: bad })).toStrictEqual([])
    }
  })
}
