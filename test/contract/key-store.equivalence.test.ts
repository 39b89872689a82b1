import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Grant, GrantPrincipal } from '../../src/core/grant.ts'
import type { Alias, KeyState, KeyVersion, MasterKey } from '../../src/core/key.ts'
import type { KeyPlace, KeyStore, PageRequest } from '../../src/core/ports/key-store.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { storeFolder } from '../support/key-store-folder.ts'
import { ALL_STATES, sampleKey, sampleReplica } from '../support/key-store-samples.ts'
import { MemoryKeyStore } from '../support/memory-key-store.ts'

/** Mostly one of few plain values, so that calls meet; now and then one that sorts, compares or stores in its own way. */
function mostly<T>(plain: readonly T[], odd: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...plain) }, { weight: 1, arbitrary: odd })
}

const inputs = fc.record({
  accountId: mostly(['1'], fc.constantFrom('2', '\0')),
  region: mostly(['r'], fc.constantFrom('R', 'é', '\ud800')),
  keyId: mostly(
    ['a', 'B', '～', '𐍈', 'mrk-a', 'mrk-a'],
    fc.constantFrom('nul\0', 'lone\ud800', 'lone\ufffd'),
  ),
  versionIds: fc.array(fc.nat(30).map(String), { minLength: 1, maxLength: 3 }),
  name: mostly(['alias/a', 'alias/A', 'alias/～', 'alias/𐍈'], fc.string({ unit: 'binary', maxLength: 3 })),
  state: fc.constantFrom<KeyState>('Enabled', 'Enabled', 'Enabled', 'Deleted', ...ALL_STATES),
  description: mostly(['', 'x', '𐍈'], fc.string({ unit: 'binary', maxLength: 4 })),
  time: mostly([0, 1, 2, Number.MAX_SAFE_INTEGER], fc.constantFrom(-1, 0.5, 2 ** 53)),
  limit: mostly([1, 2, 3, 1000], fc.constantFrom(0, 1001)),
  after: fc.option(
    mostly(['', 'B', 'a', 'alias/A', 'alias/～', '～'], fc.string({ unit: 'binary', maxLength: 3 })),
  ),
  elsewhere: mostly(['r', 'R'], fc.constantFrom('é', '\0')),
  revisionsOn: mostly([1], fc.constantFrom(0, 2)),
  flag: fc.boolean(),
  periodDays: fc.constantFrom(undefined, 90, 2560, 89),
  pending: fc.constantFrom(undefined, undefined, undefined, '5', '31', '32', 'nul\0', 'lone\ud800'),
})
type Inputs = typeof inputs extends fc.Arbitrary<infer T> ? T : never

/** Every method of the port but `close`, from the same inputs; `now` is the key as it is. */
const CALLS: Readonly<Record<string, (store: KeyStore, given: Inputs, now?: MasterKey) => Promise<unknown>>> =
  {
    createKey: (store, given) => store.createKey(newKey(given)),
    getKey: (store, { region, keyId }) => store.getKey(region, keyId),
    findKeyIdByVersion: (store, { versionIds: [id = ''] }) => store.findKeyIdByVersion(id),
    replaceKey: (store, given, now) => store.replaceKey(changed(now ?? newKey(given), given)),
    replaceByStranger: (store, given) => store.replaceKey({ ...newKey(given), revision: 2 }),
    listKeys: (store, given) => store.listKeys(given.accountId, given.region, page(given)),
    listKeysInState: (store, given) => store.listKeysInState(given.state, placePage(given)),
    listKeysInRotation: (store, given) => store.listKeysInRotation(placePage(given)),
    listKeysToRotate: (store, given) => store.listKeysToRotate(given.time, placePage(given)),
    listKeysDueForRotation: (store, given) => store.listKeysDueForRotation(given.time, placePage(given)),
    addReplica: (store, given, now) => {
      const primary = changed(now ?? newKey(given), { ...given, flag: false, state: 'Enabled' })
      return store.addReplica(
        primary,
        sampleReplica(primary, given.elsewhere, { revision: given.revisionsOn }),
      )
    },
    listRegions: (store, { keyId }) => store.listRegions(keyId),
    replaceKeys: async (store, given, now) => {
      const others = (await store.listRegions(given.keyId)).filter(({ region }) => region !== given.region)
      const first = changed(now ?? newKey(given), given)
      return store.replaceKeys([first, ...others.map((key) => changed(key, { ...given, flag: false }))])
    },
    listKeysWithMaterialToEnd: (store, given) =>
      store.listKeysWithMaterialToEnd({ expiresBy: given.time, begunBy: given.time }, placePage(given)),
    createAlias: (store, given) => store.createAlias(alias(given)),
    getAlias: (store, { accountId, region, name }) => store.getAlias(accountId, region, name),
    updateAlias: (store, given) => store.updateAlias(alias(given)),
    deleteAlias: (store, { accountId, region, name }) => store.deleteAlias(accountId, region, name),
    listAliases: (store, given) =>
      store.listAliases(given.accountId, given.region, given.flag ? given.keyId : undefined, page(given)),
    leaseInvocations: (store, { versionIds: [id = ''], limit, time }, now) =>
      store.leaseInvocations(now?.primaryVersionId ?? id, limit, time),
    mostLeased: (store) => store.mostLeased(),
    ping: (store) => store.ping(),
  }

/** What belongs to keys, with the keys it belongs to. */
const METADATA_CALLS: typeof CALLS = {
  createKey: (store, given) => store.createKey(newKey(given)),
  replaceKey: (store, given, now) => store.replaceKey(changed(now ?? newKey(given), given)),
  putTags: (store, { region, keyId, name, description, limit }) =>
    store.putTags(region, keyId, [{ key: name, value: description }], limit),
  removeTags: (store, { region, keyId, name }) => store.removeTags(region, keyId, [name]),
  listTags: (store, given) => store.listTags(given.region, given.keyId, page(given)),
  putKeyPolicy: (store, { region, keyId, flag, description }) =>
    store.putKeyPolicy(region, keyId, flag ? 'AWS' : 'RAM', description),
  getKeyPolicies: async (store, { region, keyId }) => {
    const policies = await store.getKeyPolicies(region, keyId)
    return Object.keys(policies).length === 0 ? undefined : policies
  },
  createGrant: (store, given) => store.createGrant(grant(given), given.limit),
  getGrant: (store, { name }) => store.getGrant(name),
  deleteGrant: (store, { region, keyId, name }) => store.deleteGrant(region, keyId, name),
  listGrants: (store, given) =>
    store.listGrants(given.region, given.keyId, given.flag ? grantee(given) : undefined, page(given)),
  listRetirableGrants: (store, given) =>
    store.listRetirableGrants(given.accountId, given.region, grantee(given), page(given)),
  putKeyUses: (store, { region, keyId, time }) =>
    store.putKeyUses([{ region, keyId, operation: 'Sign', usedAt: time }]),
  getKeyUse: (store, { region, keyId }) => store.getKeyUse(region, keyId),
}

/** Asked for more often: without them every other call finds nothing. */
const MAKING = /^(?:createKey|addReplica|createAlias|updateAlias|putTags|createGrant)$/

function page({ limit, after }: Inputs): PageRequest<string> {
  return { limit, after: after ?? undefined }
}

function placePage({ limit, region, after }: Inputs): PageRequest<KeyPlace> {
  return { limit, after: after === null ? undefined : { region, keyId: after } }
}

function alias({ accountId, region, name, keyId, time }: Inputs): Alias {
  return { accountId, region, name, keyId, createdAt: 7, updatedAt: time }
}

function grantee({ description }: Inputs): GrantPrincipal {
  return { kind: 'arn', name: description }
}

function grant(given: Inputs): Grant {
  const { accountId, region, keyId, name, time, flag } = given
  return {
    grantId: name,
    accountId,
    region,
    keyId,
    grantee: grantee(given),
    retiring: grantee(given),
    operations: ['Decrypt'],
    createdAt: time,
    tokenKey: 'k',
    ...(flag && { fingerprint: `${time}` }),
  }
}

function newKey({ accountId, region, keyId, versionIds, state, description, time }: Inputs): MasterKey {
  const versions = versionIds.map(version)
  const primaryVersionId = versionIds.at(-1) ?? ''
  return sampleKey({
    accountId,
    region,
    keyId,
    state,
    description,
    createdAt: time,
    versions,
    primaryVersionId,
    ...(keyId.startsWith('mrk-') && { multiRegion: 'PRIMARY' }),
  })
}

function version(versionId: string, index: number): KeyVersion {
  return { versionId, number: index + 1, createdAt: index }
}

function changed(
  key: MasterKey,
  { versionIds, state, description, time, revisionsOn, flag, pending, periodDays }: Inputs,
): MasterKey {
  const { deletionAt: _, pendingVersion: __, rotationSchedule: ___, deletionWindowDays: ____, ...kept } = key
  const added = flag ? versionIds.map((id, index) => version(id, key.versions.length + index)) : []
  return {
    ...kept,
    ...(state === 'PendingDeletion' && { deletionAt: time }),
    ...(state === 'PendingReplicaDeletion' && { deletionWindowDays: 7 }),
    ...(pending && {
      pendingVersion: {
        versionId: pending,
        state: 'Making',
        rotation: 'AUTOMATIC',
        createdAt: time,
      } as const,
    }),
    ...(periodDays && { rotationSchedule: { periodDays, nextAt: time } }),
    state,
    description,
    versions: [...key.versions, ...added],
    primaryVersionId: added.at(-1)?.versionId ?? key.primaryVersionId,
    revision: key.revision + revisionsOn,
  }
}

interface Outcome {
  readonly answer?: unknown
  readonly error?: readonly unknown[]
}

/** What a caller sees of a call: its answer, or its error but for the cause. */
async function outcome(work: Promise<unknown>): Promise<Outcome> {
  return work.then(
    (answer) => ({ answer }),
    ({ name, message, code, details }: Error & { code?: string; details?: unknown }) => ({
      error: [name, message, code, details],
    }),
  )
}

const { nextPath } = storeFolder()

/** Holds that SQLite answers sequences of `calls` as memory does, and that each call did what `done` says of it in one. */
async function answersAlike(calls: typeof CALLS, done: readonly string[]): Promise<void> {
  const answered = new Set<string>()
  const all = Object.entries(calls)
  const making = all.filter(([name]) => MAKING.test(name))
  const steps = fc.array(fc.tuple(fc.constantFrom(...all, ...making, ...making, ...making), inputs), {
    minLength: 40,
    maxLength: 100,
    size: 'max',
  })
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const memory = new MemoryKeyStore()
      const sqlite = await openSqliteStore({ path: nextPath() })
      for (const [[name, call], given] of sequence) {
        const now = await memory.getKey(given.region, given.keyId)
        const expected = await outcome(call(memory, given, now))
        expect(await outcome(call(sqlite, given, now)), name).toStrictEqual(expected)
        answered.add(`${name}: ${kindOf(expected)}`)
      }
      await sqlite.close()
    }),
    { numRuns: 250 },
  )
  // The property would hold of calls that are all refused, so see that each could do its work.
  expect([...answered]).toEqual(expect.arrayContaining([...done]))
}

it('STO-22, STO-17 SQLite answers every sequence of calls as memory does', { timeout: 120_000 }, async () => {
  const found = [
    'leaseInvocations',
    'mostLeased',
    'listKeysInRotation',
    'listKeysToRotate',
    'listKeysDueForRotation',
    'getKey',
    'findKeyIdByVersion',
    'getAlias',
    'listKeys',
    'listKeysInState',
    'listAliases',
  ].map((name) => `${name}: found`)
  const done = ['replaceKey', 'addReplica', 'replaceKeys', 'updateAlias', 'deleteAlias']
  await answersAlike(CALLS, [...done.map((name) => `${name}: true`), 'listRegions: found', ...found])
})

it('STO-22, STO-57 SQLite answers for what belongs to keys as memory does', {
  timeout: 120_000,
}, async () => {
  const found = [
    'listTags',
    'getKeyPolicies',
    'createGrant',
    'getGrant',
    'listGrants',
    'listRetirableGrants',
    'getKeyUse',
  ].map((name) => `${name}: found`)
  await answersAlike(METADATA_CALLS, ['putTags: true', 'putTags: false', 'deleteGrant: true', ...found])
})

function kindOf({ answer, error }: Outcome): string {
  if (error !== undefined) return 'refused'
  if (typeof answer === 'boolean') return String(answer)
  return answer === undefined || (Array.isArray(answer) && answer.length === 0) ? 'nothing' : 'found'
}
