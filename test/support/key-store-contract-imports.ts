import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ImportedMaterial, MasterKey } from '../../src/core/key.ts'
import type { ImportPair, WithImports } from '../../src/core/ports/import-store.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { ACCOUNT, ALL_STATES, next, REGION, sampleKey } from './key-store-samples.ts'

/** A key whose material is imported, in some state of it. */
function externalKey(imported: ImportedMaterial, changes: Partial<MasterKey> = {}): MasterKey {
  const key = sampleKey({ origin: 'EXTERNAL', ...changes })
  return { ...key, versions: key.versions.map((version) => ({ ...version, imported })) }
}

const PENDING = { state: 'PendingImport', since: 1 } as const

function samplePair({ keyId }: MasterKey, changes: Partial<ImportPair> = {}): ImportPair {
  return {
    pairId: randomUUID(),
    accountId: ACCOUNT,
    region: REGION,
    keyId,
    token: 'main',
    algorithm: 'RSA_AES_KEY_WRAP_SHA_256',
    spec: 'RSA_3072',
    secretHash: 'ab'.repeat(32),
    state: 'Making',
    createdAt: 10,
    expiresAt: 20,
    ...changes,
  }
}

/** What keeps imported material, and the key pairs that it is wrapped for. */
export function importClauses(store: () => KeyStore & WithImports): void {
  it('STO-7, STO-3 imported material comes, goes and comes again, and what it is known by stays', async () => {
    const key = externalKey(PENDING, { state: 'PendingImport' })
    await store().createKey(key)
    const steps: ImportedMaterial[] = [
      { state: 'Importing', since: 2, importId: 'i' },
      { state: 'Imported', since: 3, canary: 'c', expiresAt: 9, description: 'ö', importId: 'i' },
      { state: 'Destroying', since: 4, canary: 'c', description: 'ö', importId: 'i' },
      { state: 'PendingImport', since: 5, canary: 'c', importId: 'i' },
      { state: 'Importing', since: 6, canary: 'c', importId: 'j' },
    ]
    let now = key
    for (const imported of steps) {
      now = next(now, { versions: now.versions.map((version) => ({ ...version, imported })) })
      expect(await store().replaceKey(now)).toBe(true)
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(now)
    }
    const other = { ...PENDING, canary: 'd' }
    const changed = next(now, { versions: now.versions.map((version) => ({ ...version, imported: other })) })
    await expect(store().replaceKey(changed)).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(now)
  })

  it('STO-7 a version that waited becomes the primary one, with the rotation by which it did', async () => {
    const key = externalKey({ state: 'Imported', since: 1, canary: 'a' })
    await store().createKey(key)
    const imported = { state: 'Imported', since: 2, canary: 'b' } as const
    const waiting = { versionId: randomUUID(), number: 2, createdAt: 2, imported }
    const grown = next(key, { versions: [...key.versions, waiting] })
    const rotation = { type: 'ON_DEMAND', at: 3 } as const
    const turned = next(grown, {
      versions: [...key.versions, { ...waiting, rotation }],
      primaryVersionId: waiting.versionId,
    })
    for (const step of [grown, turned]) {
      expect(await store().replaceKey(step)).toBe(true)
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(step)
    }
  })

  it.each([
    ['waits for material that the token makes', sampleKey({ state: 'PendingImport' })],
    ['has no material in an external key', sampleKey({ origin: 'EXTERNAL' })],
    ['has imported material of its own', { ...externalKey(PENDING), origin: 'AWS_KMS' as const }],
    ['is scheduled', externalKey(PENDING, { rotationSchedule: { periodDays: 90, nextAt: 1 } })],
    ['is there unknown', externalKey({ state: 'Imported', since: 1 })],
    ['expires while it is not there', externalKey({ ...PENDING, expiresAt: 1 })],
    ['came at half a millisecond', externalKey({ ...PENDING, since: 0.5 })],
    ['came by an import of a long name', externalKey({ ...PENDING, importId: 'x'.repeat(65) })],
    ['is described at length', externalKey({ ...PENDING, description: 'x'.repeat(257) })],
  ])('STO-23 a key that %s is a bug of the caller', async (_, key) => {
    await expect(store().createKey(key)).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, key.keyId)).toBeUndefined()
  })

  it('STO-7 the origin of a key never changes', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const { versions } = externalKey(PENDING, key)
    const changed = next(key, { origin: 'EXTERNAL', versions })
    await expect(store().replaceKey(changed)).rejects.toMatchObject({ name: 'InvariantError' })
  })

  it('STO-46, STO-11 keys whose material is to end are walked over all accounts and regions', async () => {
    const due: ImportedMaterial[] = [
      { state: 'Imported', since: 1, canary: 'c', expiresAt: 100 },
      { state: 'Importing', since: 50 },
      { state: 'Destroying', since: 50, canary: 'c' },
    ]
    const not: ImportedMaterial[] = [
      { state: 'Imported', since: 1, canary: 'c', expiresAt: 101 },
      { state: 'Imported', since: 1, canary: 'c' },
      { state: 'Importing', since: 51 },
      { state: 'Destroying', since: 51, canary: 'c' },
      PENDING,
    ]
    const keys = due.flatMap((imported) => ['b', 'a'].map((region) => externalKey(imported, { region })))
    const going = ALL_STATES.filter((state) => state === 'Deleting' || state === 'Deleted')
    const others = [
      sampleKey(),
      ...not.map((imported) => externalKey(imported)),
      ...going.flatMap((state) => due.map((imported) => externalKey(imported, { state }))),
    ]
    for (const key of [...keys, ...others]) await store().createKey(key)
    const seen: MasterKey[] = []
    const when = { expiresBy: 100, begunBy: 50 }
    for (let page = await store().listKeysWithMaterialToEnd(when, { limit: 2 }); page.length > 0; ) {
      seen.push(...page)
      const { region = '', keyId = '' } = page.at(-1) ?? {}
      page = await store().listKeysWithMaterialToEnd(when, { limit: 2, after: { region, keyId } })
    }
    const order = ({ region, keyId }: MasterKey) => `${region}/${keyId}`
    expect(seen).toStrictEqual(keys.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)))
  })

  it('STO-47 an import pair is kept as it came, moves on from the state that it is in alone, and goes', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const pair = samplePair(key)
    await store().imports.createImportPair(pair)
    await expect(store().imports.createImportPair(pair)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store().imports.getImportPair(pair.pairId)).toStrictEqual(pair)
    expect(await store().imports.countImportPairs(REGION, key.keyId)).toBe(1)
    expect(await store().imports.moveImportPair(pair.pairId, 'Ready', 'Ended')).toBe(false)
    expect(await store().imports.moveImportPair(pair.pairId, 'Making', 'Ready')).toBe(true)
    expect(await store().imports.getImportPair(pair.pairId)).toStrictEqual({ ...pair, state: 'Ready' })
    expect(await store().imports.moveImportPair(pair.pairId, 'Ready', 'Ended')).toBe(true)
    expect(await store().imports.countImportPairs(REGION, key.keyId)).toBe(0)
    await store().imports.deleteImportPair(pair.pairId)
    expect(await store().imports.getImportPair(pair.pairId)).toBeUndefined()
    expect(await store().imports.moveImportPair(pair.pairId, 'Ended', 'Ready')).toBe(false)
    expect(await store().imports.getImportPair('nul\0')).toBeUndefined()
  })

  it('STO-47 import pairs that are to end are walked by id, those that have ended when they may be forgotten', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const due = [
      samplePair(key, { state: 'Ready', expiresAt: 100, createdAt: 90 }),
      samplePair(key, { state: 'Making', expiresAt: 100, createdAt: 90 }),
      samplePair(key, { state: 'Making', expiresAt: 200, createdAt: 50 }),
      samplePair(key, { state: 'Ended', expiresAt: 10, createdAt: 1 }),
    ]
    const not = [
      samplePair(key, { state: 'Ready', expiresAt: 101, createdAt: 1 }),
      samplePair(key, { state: 'Making', expiresAt: 101, createdAt: 51 }),
      samplePair(key, { state: 'Ended', expiresAt: 11, createdAt: 1 }),
    ]
    for (const pair of [...due, ...not]) await store().imports.createImportPair(pair)
    const when = { expiresBy: 100, begunBy: 50, endedBy: 10 }
    const first = await store().imports.listImportPairsToEnd(when, { limit: 3 })
    const rest = await store().imports.listImportPairsToEnd(when, { limit: 3, after: first.at(-1)?.pairId })
    expect([...first, ...rest]).toStrictEqual(due.toSorted((a, b) => (a.pairId < b.pairId ? -1 : 1)))
  })
}
