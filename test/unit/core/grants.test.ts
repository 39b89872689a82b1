import { beforeEach, describe, expect, it } from 'vitest'
import { KmsError } from '../../../src/core/errors.ts'
import type { MasterKey } from '../../../src/core/key.ts'
import type { MadeGrant } from '../../../src/core/ops/grants.ts'
import { ALICE, call, kmsFixture } from '../../support/kms-fixture.ts'

const AWAY = 'eu-central-1'
const TERMS = {
  grantee: { kind: 'arn', name: `arn:aws:iam::${ALICE.accountId}:root` },
  operations: ['Decrypt'],
} as const

let fixture: ReturnType<typeof kmsFixture>
let key: MasterKey
let grant: MadeGrant
beforeEach(async () => {
  fixture = kmsFixture()
  key = await fixture.kms.createKey(call(), { multiRegion: true })
  grant = await fixture.kms.createGrant(call(), key.keyId, TERMS)
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof KmsError ? error.code : String(error)),
  )
}

describe('a grant', () => {
  it('is of the region of its key: nobody shows its token, or ends it, in another one that has the key', async () => {
    await fixture.kms.replicateKey(call(), { keyId: key.keyId, region: AWAY })
    const there = { ...call(), principal: { ...ALICE, region: AWAY } }
    const shown = { ...there, grantTokens: [grant.token] }
    const named = { kind: 'id', keyId: key.keyId } as const
    expect(await codeOf(fixture.kms.describeKey(shown, named))).toBe('GRANT_TOKEN_INVALID')
    const { token, grantId } = grant
    expect(await codeOf(fixture.kms.retireGrant(there, { token }))).toBe('GRANT_TOKEN_INVALID')
    expect(await codeOf(fixture.kms.revokeGrant(there, key.keyId, grantId))).toBe('GRANT_NOT_FOUND')
    expect(await codeOf(fixture.kms.describeKey({ ...call(), grantTokens: [token] }, named))).toBe('done')
  })

  it('has its tokens checked where the ciphertext alone names the key', async () => {
    const named = { kind: 'id', keyId: key.keyId } as const
    const { blob } = await fixture.kms.encrypt(call(), { key: named, plaintext: Buffer.from('x') })
    const showing = (token: string) => fixture.kms.decrypt({ ...call(), grantTokens: [token] }, { blob })
    expect(await codeOf(showing(`${grant.token}A`))).toBe('GRANT_TOKEN_INVALID')
    expect(await codeOf(showing(grant.token))).toBe('done')
  })

  it('is not found under another key, in a dry run neither', async () => {
    const other = await fixture.kms.createKey(call(), {})
    for (const context of [call(), { ...call(), dryRun: true } as const])
      expect(await codeOf(fixture.kms.revokeGrant(context, other.keyId, grant.grantId))).toBe(
        'GRANT_NOT_FOUND',
      )
    const own = { ...call(), dryRun: true } as const
    expect(await codeOf(fixture.kms.revokeGrant(own, key.keyId, grant.grantId))).toBe('DRY_RUN')
  })

  it('is ended once by whoever asks at the same time', async () => {
    const revoke = () => codeOf(fixture.kms.revokeGrant(call(), key.keyId, grant.grantId))
    expect((await Promise.all([revoke(), revoke()])).toSorted()).toEqual(['GRANT_NOT_FOUND', 'done'])
  })
})
