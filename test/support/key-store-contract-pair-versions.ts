import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { MasterKey, PendingVersion } from '../../src/core/key.ts'
import type { KeyStore } from '../../src/core/ports/key-store.ts'
import { next, REGION, sampleKey, samplePrimary, sampleReplica } from './key-store-samples.ts'

const ELSEWHERE = 'us-east-1'
const PAIR = { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' } as const

const samplePair = (make: typeof sampleKey = sampleKey) => withKeys(make(PAIR))

function withKeys(key: MasterKey): MasterKey {
  const versions = key.versions.map((version) => ({ ...version, publicKey: `key ${version.number}` }))
  return { ...key, versions }
}

/** The next two revisions of a key: with a version in the making, and with it beside those before. */
function grown(key: MasterKey): { readonly making: MasterKey; readonly after: MasterKey } {
  const pendingVersion: PendingVersion = { versionId: randomUUID(), state: 'Making', createdAt: 9 }
  const making = next(key, { pendingVersion })
  const { pendingVersion: _, ...without } = next(making)
  const { versionId, createdAt } = pendingVersion
  const version = { versionId, number: key.versions.length + 1, createdAt }
  return { making, after: withKeys({ ...without, versions: [...key.versions, version] }) }
}

/** Versions of key pairs, which stand beside each other. */
export function pairVersionClauses(store: () => KeyStore): void {
  it('STO-7, STO-3, STO-29 a version of a key pair is made and comes beside those before it, with its public key', async () => {
    const key = samplePair()
    await store().createKey(key)
    const first = grown(key)
    const second = grown(first.after)
    for (const step of [first.making, first.after, second.making, second.after]) {
      expect(await store().replaceKey(step)).toBe(true)
      expect(await store().getKey(REGION, key.keyId)).toStrictEqual(step)
      const inRotation = await store().listKeysInRotation({ limit: 9 })
      expect(inRotation).toStrictEqual(step.pendingVersion ? [step] : [])
    }
    for (const { versionId } of second.after.versions)
      expect(await store().findKeyIdByVersion(versionId)).toBe(key.keyId)
  })

  it('STO-61 a version of a key pair is one of every region, with its public key', async () => {
    const made = samplePair(samplePrimary)
    await store().createKey(made)
    const primary = next(made)
    const replica = sampleReplica(primary, ELSEWHERE)
    await store().addReplica(primary, replica)
    const { making, after } = grown(primary)
    await store().replaceKey(making)
    expect(await store().getKey(ELSEWHERE, made.keyId)).toStrictEqual(replica)
    await store().replaceKey(after)
    const { versions } = after
    expect(await store().getKey(ELSEWHERE, made.keyId)).toStrictEqual(next(replica, { versions }))
  })

  it('STO-7 the primary version of a key pair never changes', async () => {
    const key = samplePair()
    await store().createKey(key)
    const { making, after } = grown(key)
    await store().replaceKey(making)
    const { versionId: primaryVersionId = '' } = after.versions[1] ?? {}
    await expect(store().replaceKey({ ...after, primaryVersionId })).rejects.toMatchObject({
      name: 'InvariantError',
    })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(making)
  })

  it.each([
    ['of a key pair has no rotation', { ...PAIR }, { rotation: 'ON_DEMAND' }],
    ['of a symmetric key has one', {}, {}],
  ] as const)('STO-23 a version in the making %s', async (_, kind, wrong) => {
    const key = sampleKey(kind)
    await store().createKey(key)
    const { making } = grown(key)
    const pendingVersion = { versionId: 'v', state: 'Making', createdAt: 9, ...wrong } as const
    await expect(store().replaceKey({ ...making, pendingVersion })).rejects.toMatchObject({
      name: 'InvariantError',
    })
    expect(await store().getKey(REGION, key.keyId)).toStrictEqual(key)
  })
}
