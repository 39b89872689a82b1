import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { MasterKey, PendingVersion } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { ALL_STATES, next, REGION, rotated, sampleKey } from './key-store-samples.ts'

export function keyClauses(store: () => KeyStore): void {
  it('STO-3 a key comes back as it went in, in its region alone', async () => {
    const key = rotated(sampleKey({ description: '', createdAt: 0, protectionLevel: 'SOFTWARE' }))
    await store().createKey(key)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(await store().getKey('us-east-1', key.keyId)).toBeUndefined()
    expect(await store().getKey(REGION, randomUUID())).toBeUndefined()
  })

  it.each(ALL_STATES)('STO-3 a key in state %s comes back', async (state) => {
    const deletion = state === 'PendingDeletion' ? { deletionAt: 1_790_000_500_000 } : {}
    const key = sampleKey({ state, ...deletion })
    await store().createKey(key)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it.each([REGION, 'us-east-1'])('STO-4 a key id is made once, asked for in %s', async (region) => {
    const key = sampleKey()
    await store().createKey(key)
    const again = sampleKey({ keyId: key.keyId, region, description: 'other' })
    await expect(store().createKey(again)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      details: { keyId: key.keyId },
    })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-4 a version id belongs to one key', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const thief = sampleKey({ versions: key.versions, primaryVersionId: key.primaryVersionId })
    await expect(store().createKey(thief)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store().findKeyIdByVersion(key.primaryVersionId)).toBe(key.keyId)
  })

  it('STO-2 a key that is refused for its second version leaves nothing of itself behind', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const refused = rotated(sampleKey(), key.primaryVersionId)
    await expect(store().createKey(refused)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store().getKey(REGION, refused.keyId)).toBeUndefined()
    expect(await store().findKeyIdByVersion(refused.versions[0]?.versionId ?? '')).toBeUndefined()
  })

  it('STO-5 every version leads to its key, a tombstone included', async () => {
    const key = rotated(sampleKey({ state: 'Deleted', region: 'us-east-1' }))
    await store().createKey(key)
    for (const { versionId } of key.versions)
      expect(await store().findKeyIdByVersion(versionId)).toBe(key.keyId)
    expect(await store().findKeyIdByVersion(randomUUID())).toBeUndefined()
  })
}

export function changeClauses(store: () => KeyStore): void {
  it('STO-6, STO-7 state, description, deletion time and protection, and primary version change, and versions are added', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const pending = next(key, { state: 'PendingDeletion', deletionAt: 1_791_000_000_000, description: 'x' })
    const back = next(key, { state: 'Disabled', revision: 3, deletionProtection: '' })
    const more = { ...rotated(rotated(back)), deletionProtection: 'why' }
    const moved = next(more, { primaryVersionId: key.primaryVersionId })
    const skipped = { ...more, revision: 4 }
    for (const change of [pending, back, skipped, { ...moved, revision: 5 }]) {
      expect(await store().replaceKey(change)).toBe(true)
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(change)
    }
    expect(await store().findKeyIdByVersion(more.primaryVersionId)).toBe(key.keyId)
  })

  it.each([0, 1, 3])('STO-6 a change loses to any other revision: %i on 1', async (revision) => {
    const key = sampleKey({ revision: 1 })
    await store().createKey(key)
    const late = { ...rotated(key), revision: Math.max(revision, 1), state: 'Disabled' } as const
    expect(await store().replaceKey(late)).toBe(false)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
    expect(await store().findKeyIdByVersion(late.primaryVersionId)).toBeUndefined()
  })

  it('STO-6 a key that is not there, in this region at least, is not replaced', async () => {
    const key = sampleKey()
    expect(await store().replaceKey(next(key))).toBe(false)
    await store().createKey(key)
    expect(await store().replaceKey(next(key, { region: 'us-east-1' }))).toBe(false)
    expect(await store().getKey('us-east-1', key.keyId)).toBeUndefined()
  })

  it('STO-2, STO-7 a change is refused for a version id that any key has, and changes nothing', async () => {
    const [key, other] = [sampleKey(), sampleKey()]
    await store().createKey(key)
    await store().createKey(other)
    for (const taken of [other.primaryVersionId, key.primaryVersionId]) {
      const change = { ...rotated(key, taken), description: 'changed' }
      await expect(store().replaceKey(change)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
    }
    expect(await store().replaceKey(rotated(key))).toBe(true)
  })

  it.each([
    ['account', (key: MasterKey) => next(key, { accountId: '444455556666' })],
    ['token', (key: MasterKey) => next(key, { token: 'other' })],
    ['protection level', (key: MasterKey) => next(key, { protectionLevel: 'SOFTWARE' })],
    ['creation time', (key: MasterKey) => next(key, { createdAt: 1 })],
    ['first version', (key: MasterKey) => next(sampleKey({ keyId: key.keyId }), { revision: 2 })],
  ])('STO-7 the %s of a key never changes', async (_, change) => {
    const key = sampleKey()
    await store().createKey(key)
    await expect(store().replaceKey(change(key))).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-7, STO-3 a version comes to have its public key once, and keeps it', async () => {
    const key = sampleKey({ spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY', state: 'Creating' })
    await store().createKey(key)
    const withKey = (publicKey: string) => key.versions.map((version) => ({ ...version, publicKey }))
    const made = next(key, { state: 'Enabled', versions: withKey('c3BraQ==') })
    expect(await store().replaceKey(made)).toBe(true)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(made)
    const later = next(made, { description: 'later' })
    for (const versions of [withKey('b3RoZXI='), key.versions])
      await expect(store().replaceKey({ ...later, versions })).rejects.toMatchObject({
        name: 'InvariantError',
      })
    expect(await store().replaceKey(later)).toBe(true)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(later)
  })

  it('STO-3 a version that is made with its public key has it', async () => {
    const key = sampleKey({ spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' })
    const versions = key.versions.map((version) => ({ ...version, publicKey: 'c3BraQ==' }))
    await store().createKey({ ...key, versions })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual({ ...key, versions })
  })

  it.each([
    ['has no version', { versions: [] }],
    [
      'counts its versions from 2',
      { primaryVersionId: 'v', versions: [{ versionId: 'v', number: 2, createdAt: 1 }] },
    ],
    [
      'leaves out a number',
      {
        primaryVersionId: 'v',
        versions: [
          { versionId: 'v', number: 1, createdAt: 1 },
          { versionId: 'w', number: 3, createdAt: 1 },
        ],
      },
    ],
    [
      'has an empty public key',
      { primaryVersionId: 'v', versions: [{ versionId: 'v', number: 1, createdAt: 1, publicKey: '' }] },
    ],
    ['has a foreign primary version', { primaryVersionId: 'v' }],
    ['has a deletion time while Enabled', { deletionAt: 1 }],
    ['has revision 0', { revision: 0 }],
    ['is being rotated while Deleted', { state: 'Deleted', pendingVersion: versionInMaking() }],
    ['is being rotated while Creating', { state: 'Creating', pendingVersion: versionInMaking() }],
    ['rotates since half a millisecond', { pendingVersion: { ...versionInMaking(), createdAt: 0.5 } }],
    ['was made at half a millisecond', { createdAt: 0.5 }],
    ['is rotated at half a millisecond', { rotationSchedule: { periodDays: 90, nextAt: 0.5 } }],
    ['is rotated every 6 days', { rotationSchedule: { periodDays: 6, nextAt: 1 } }],
    ['is rotated every 2561 days', { rotationSchedule: { periodDays: 2561, nextAt: 1 } }],
    ['is rotated every 90.5 days', { rotationSchedule: { periodDays: 90.5, nextAt: 1 } }],
    ['has a schedule while Creating', { state: 'Creating', rotationSchedule: { periodDays: 90, nextAt: 1 } }],
  ] as const)('STO-23 a key that %s is a bug of the caller', async (_, wrong) => {
    const key = sampleKey(wrong)
    await expect(store().createKey(key)).rejects.toMatchObject({ name: 'InvariantError' })
    await expect(store().replaceKey(key)).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, key.keyId)).toBeUndefined()
  })

  it('STO-23 a version in the making that is a version already is a bug of the caller', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const pendingVersion = { ...versionInMaking(), versionId: key.primaryVersionId }
    await expect(store().replaceKey(next(key, { pendingVersion }))).rejects.toMatchObject({
      name: 'InvariantError',
    })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it.each(['Enabled', 'Disabled', 'PendingDeletion', 'Deleting'] as const)(
    'STO-7, STO-3 a version in the making comes, is given up and becomes a version while %s',
    async (state) => {
      const key = sampleKey({ state })
      const making = next(key, { pendingVersion: versionInMaking() })
      const abandoned = next(making, { pendingVersion: { ...versionInMaking(), state: 'Abandoned' } })
      const { pendingVersion: _, ...without } = abandoned
      const steps =
        state === 'Deleting' ? [] : [making, abandoned, rotated({ ...without }, versionInMaking().versionId)]
      await store().createKey(steps.length > 0 ? key : making)
      for (const step of steps) {
        expect(await store().replaceKey(step)).toBe(true)
        expect(await store().getKey(REGION, key.keyId)).toStrictEqual(step)
        const known = step.versions.length > 1 ? key.keyId : undefined
        expect(await store().findKeyIdByVersion(versionInMaking().versionId)).toBe(known)
      }
      expect((await store().getKey(REGION, key.keyId))?.state).toBe(state)
    },
  )

  it('STO-7 versions are never taken away', async () => {
    const key = rotated(sampleKey())
    await store().createKey(key)
    const [first] = key.versions
    const fewer = next(key, { versions: key.versions.slice(0, 1), primaryVersionId: first?.versionId ?? '' })
    await expect(store().replaceKey(fewer)).rejects.toMatchObject({ name: 'InvariantError' })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })

  it('STO-21 of twenty changes made at once on one revision, exactly one is stored', async () => {
    const key = sampleKey()
    await store().createKey(key)
    const changes = Array.from({ length: 20 }, (_, n) => ({ ...rotated(key), description: `change ${n}` }))
    const stored = await Promise.all(changes.map((change) => store().replaceKey(change)))
    expect(stored.filter(Boolean)).toHaveLength(1)
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(changes[stored.indexOf(true)])
  })
}

/** A version in the making. */
function versionInMaking(): PendingVersion {
  return {
    versionId: '11111111-2222-4333-8444-555555555555',
    state: 'Making',
    rotation: 'AUTOMATIC',
    createdAt: 1_790_000_000_005,
  }
}
