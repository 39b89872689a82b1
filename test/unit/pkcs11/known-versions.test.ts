import { expect, it } from 'vitest'
import { knownKeys } from '../../../src/providers/pkcs11/inspect/lint/known-versions.ts'
import { next, samplePrimary, sampleReplica } from '../../support/key-store-samples.ts'

const primary = samplePrimary()
const replica = sampleReplica(primary, 'us-east-1')

it.each([
  ['a replica that was destroyed', [primary, next(replica, { state: 'Deleted' })]],
  ['a primary key that is being destroyed', [next(primary, { state: 'Deleting' }), replica]],
])('expects the objects of a multi-region key once, and for as long as a region has it: %s', (_, keys) => {
  for (const rows of [keys, keys.toReversed()]) {
    const { versions, byId } = knownKeys(rows, rows, 'main')
    expect(versions).toHaveLength(1)
    expect(versions[0]).toMatchObject({ keyId: primary.keyId, state: 'Enabled', settled: true })
    expect([...byId.values()].map(({ version }) => version.state)).toEqual(['Enabled', 'Enabled'])
  }
})
