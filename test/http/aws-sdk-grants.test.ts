import {
  CreateGrantCommand,
  type CreateGrantCommandInput,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  type GrantOperation,
  ListGrantsCommand,
  type ListGrantsCommandInput,
  ListRetirableGrantsCommand,
  paginateListGrants,
  paginateListRetirableGrants,
  RetireGrantCommand,
  RevokeGrantCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import { describe, expect, it } from 'vitest'
import { ALICE } from '../support/kms-fixture.ts'
import { ALICE_ROOT, MALLORY_ROOT, refused, sdkFixture } from './sdk-fixture.ts'

const ABSENT = '00000000-0000-4000-8000-000000000000'
const NO_GRANT = '0'.repeat(64)
const BOB = `arn:aws:iam::${ALICE.accountId}:user/bob`
const Operations: GrantOperation[] = ['Encrypt', 'Decrypt', 'DescribeKey', 'Encrypt']

const { clients, newKeyArn, clock, store } = sdkFixture()
const grantOf = (KeyId: string, more: Partial<CreateGrantCommandInput> = {}) =>
  clients.alice.send(new CreateGrantCommand({ KeyId, GranteePrincipal: BOB, Operations, ...more }))
const list = async (KeyId: string, more: Partial<ListGrantsCommandInput> = {}) =>
  (await clients.alice.send(new ListGrantsCommand({ KeyId, ...more }))).Grants ?? []
const idsOf = async (KeyId: string, more: Partial<ListGrantsCommandInput> = {}) =>
  (await list(KeyId, more)).map(({ GrantId }) => GrantId)
const describeWith = (KeyId: string, ...GrantTokens: (string | undefined)[]) =>
  clients.alice.send(new DescribeKeyCommand({ KeyId, GrantTokens: GrantTokens.map((token) => token ?? '') }))

describe('a grant', () => {
  it('is made and listed with all it says, and never with a token', async () => {
    const KeyId = await newKeyArn()
    const Constraints = {
      EncryptionContextSubset: { a: 'b' },
      EncryptionContextEquals: {},
      SourceArn: 'arn:aws:s3:::bucket',
    }
    const made = await grantOf(KeyId, { RetiringPrincipal: ALICE_ROOT, Constraints, Name: 'a/b:c_d-1' })
    expect(made.GrantId).toMatch(/^[0-9a-f]{64}$/)
    expect(made.GrantToken?.length).toBeGreaterThan(100)
    const [listed, ...others] = await list(KeyId)
    expect(others).toEqual([])
    expect(listed).toEqual({
      KeyId,
      GrantId: made.GrantId,
      Name: 'a/b:c_d-1',
      CreationDate: expect.any(Date),
      GranteePrincipal: BOB,
      RetiringPrincipal: ALICE_ROOT,
      IssuingAccount: ALICE_ROOT,
      Operations: ['Decrypt', 'DescribeKey', 'Encrypt'],
      Constraints,
    })
    expect(Math.abs((listed?.CreationDate?.getTime() ?? 0) - clock.now())).toBeLessThan(5_000)
  })

  it('may be for a service, with a source and somebody who ends it', async () => {
    const KeyId = await newKeyArn()
    const service = { GranteePrincipal: undefined, GranteeServicePrincipal: 'logs.amazonaws.com' }
    const Constraints = { SourceArn: 'arn:aws:logs:us-east-1:1:x' }
    await grantOf(KeyId, { ...service, Constraints, RetiringServicePrincipal: 'logs.amazonaws.com' })
    const expected = {
      GranteeServicePrincipal: 'logs.amazonaws.com',
      RetiringServicePrincipal: 'logs.amazonaws.com',
    }
    expect(await list(KeyId)).toMatchObject([expected])
    expect(await list(KeyId, { GranteeServicePrincipal: 'logs.amazonaws.com' })).toHaveLength(1)
    expect(await list(KeyId, { GranteePrincipal: BOB })).toHaveLength(0)
    for (const lacking of [{ Constraints }, { RetiringPrincipal: BOB }])
      await refused(grantOf(KeyId, { ...service, ...lacking }), 'ValidationException', /SourceArn/)
  })

  it('with a name is made once, and has another token each time', async () => {
    const KeyId = await newKeyArn()
    const Constraints = { EncryptionContextEquals: { a: '1', b: '2' } }
    const first = await grantOf(KeyId, { Name: 'once', Constraints })
    const turned = { EncryptionContextEquals: { b: '2', a: '1' } }
    const again = await grantOf(KeyId, {
      Name: 'once',
      Constraints: turned,
      Operations: ['Decrypt', 'Encrypt', 'DescribeKey'],
    })
    expect(again.GrantId).toBe(first.GrantId)
    expect(again.GrantToken).not.toBe(first.GrantToken)
    await describeWith(KeyId, first.GrantToken, again.GrantToken)
    const others = [
      await grantOf(KeyId, { Name: 'twice', Constraints }),
      await grantOf(KeyId, { Name: 'once' }),
      await grantOf(KeyId, { Name: 'once', Constraints: { EncryptionContextSubset: { a: '1', b: '2' } } }),
      await grantOf(KeyId, { Name: 'once', Constraints, RetiringPrincipal: BOB }),
      await grantOf(KeyId, { Name: 'once', Constraints, Operations: ['Encrypt'] }),
      await grantOf(await newKeyArn(), { Name: 'once', Constraints }),
      await grantOf(KeyId, {}),
      await grantOf(KeyId, {}),
    ]
    expect(new Set([first, ...others].map(({ GrantId = '' }) => GrantId)).size).toBe(9)
  })

  it('is refused for what AWS refuses', async () => {
    const KeyId = await newKeyArn()
    const invalid = async (more: Partial<CreateGrantCommandInput>, text?: string | RegExp) =>
      refused(grantOf(KeyId, more), 'ValidationException', text)
    await invalid({ GranteePrincipal: undefined }, /must specify a GranteePrincipal/)
    await invalid({ GranteeServicePrincipal: 'a.amazonaws.com' }, /cannot specify both Grantee/)
    await invalid({ RetiringPrincipal: BOB, RetiringServicePrincipal: 'x' }, /cannot specify both Retiring/)
    await invalid({ Operations: [] }, /at least one operation/)
    await invalid({ Operations: undefined }, /'operations' failed .* not be null/)
    await invalid({ Operations: ['Nothing' as GrantOperation] }, /operations\.1\.member.*enum value set/)
    await invalid({ Operations: ['Decrypt', 'Sign'] }, /^Operation Sign is not valid/)
    await invalid({ Name: 'no spaces' }, /regular expression/)
    const context = (pairs: number, length = 1) =>
      Object.fromEntries(Array.from({ length: pairs }, (_, n) => [`${n}`, 'x'.repeat(length)]))
    await grantOf(KeyId, { Constraints: { EncryptionContextSubset: context(8, 384) } })
    await invalid({ Constraints: { EncryptionContextSubset: context(9) } }, /at most 8 pairs/)
    await invalid({ Constraints: { EncryptionContextEquals: context(1, 385) } }, /384 characters/)
    await invalid({ Constraints: { EncryptionContextEquals: { a: '\ud800' } } }, /Unicode/)
    const arn = async (more: Partial<CreateGrantCommandInput>) =>
      refused(grantOf(KeyId, more), 'InvalidArnException', /^ARN does not refer to a valid principal: /)
    await arn({ GranteePrincipal: 'bob' })
    await arn({ RetiringPrincipal: 'arn:aws:s3:::bucket' })
    for (const SourceArn of ['bucket', 'arn:aws:s3:::\ud800']) await arn({ Constraints: { SourceArn } })
    expect(await list(KeyId)).toHaveLength(1)
  })

  it('allows what its key is for', async () => {
    const kinds = [
      [{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }, ['GetPublicKey', 'Sign', 'Verify'], 'Decrypt'],
      [{ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }, ['Decrypt', 'ReEncryptTo'], 'GenerateDataKey'],
      [
        { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
        ['GenerateMac', 'VerifyMac'],
        'GetPublicKey',
      ],
      [{ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' }, ['DeriveSharedSecret'], 'Sign'],
    ] as const
    for (const [kind, allowed, other] of kinds) {
      const KeyId = await newKeyArn(kind)
      await grantOf(KeyId, { Operations: [...allowed, 'DescribeKey', 'CreateGrant', 'RetireGrant'] })
      await refused(grantOf(KeyId, { Operations: [other] }), 'ValidationException', /is not valid in a grant/)
      const Constraints = { EncryptionContextSubset: { a: 'b' } }
      const constrained = grantOf(KeyId, { Operations: ['DescribeKey'], Constraints })
      await refused(constrained, 'ValidationException', /^Encryption context constraints are not valid/)
    }
  })

  it('is of a key that is there and enabled', async () => {
    await refused(grantOf(ABSENT), 'NotFoundException')
    await refused(grantOf('alias/a'), 'NotFoundException')
    const KeyId = await newKeyArn()
    await clients.alice.send(new DisableKeyCommand({ KeyId }))
    await refused(grantOf(KeyId), 'DisabledException', `${KeyId} is disabled.`)
    await clients.alice.send(new EnableKeyCommand({ KeyId }))
    const { GrantId } = await grantOf(KeyId)
    await clients.alice.send(new ScheduleKeyDeletionCommand({ KeyId }))
    await refused(grantOf(KeyId), 'KMSInvalidStateException', `${KeyId} is pending deletion.`)
    expect(await idsOf(KeyId)).toEqual([GrantId])
    await clients.alice.send(new RevokeGrantCommand({ KeyId, GrantId }))
    expect(await idsOf(KeyId)).toEqual([])
  })

  it('is one of at most 50000 of a key', async () => {
    const KeyId = await newKeyArn()
    const create = store.createGrant.bind(store)
    const maxima: number[] = []
    store.createGrant = async (grant, max) => {
      maxima.push(max)
      return create(grant, 1)
    }
    await grantOf(KeyId)
    await refused(grantOf(KeyId), 'LimitExceededException', /at most 50000 grants/)
    store.createGrant = create
    expect(maxima).toEqual([50_000, 50_000])
  })
})

describe('listings of grants', () => {
  it('of a key go in pages, narrowed by id and grantee', async () => {
    const KeyId = await newKeyArn()
    const made: string[] = []
    for (let n = 0; n < 5; n++) made.push((await grantOf(KeyId)).GrantId ?? '')
    const other = await grantOf(KeyId, { GranteePrincipal: ALICE_ROOT })
    const seen: string[] = []
    for await (const page of paginateListGrants({ client: clients.alice, pageSize: 2 }, { KeyId }))
      seen.push(...(page.Grants ?? []).map(({ GrantId = '' }) => GrantId))
    expect(seen).toEqual([...made, other.GrantId ?? ''].toSorted())
    expect(await idsOf(KeyId, { GranteePrincipal: ALICE_ROOT })).toEqual([other.GrantId])
    expect(await idsOf(KeyId, { GrantId: made[0] })).toEqual([made[0]])
    expect(await idsOf(KeyId, { GrantId: made[0], GranteePrincipal: ALICE_ROOT })).toEqual([])
    expect(await idsOf(KeyId, { GrantId: NO_GRANT })).toEqual([])
    expect(await idsOf(await newKeyArn(), { GrantId: made[0] })).toEqual([])
  })

  it('are refused for what is not valid', async () => {
    const KeyId = await newKeyArn()
    for (let n = 0; n < 2; n++) await grantOf(KeyId)
    const { NextMarker: Marker } = await clients.alice.send(new ListGrantsCommand({ KeyId, Limit: 1 }))
    await refused(list(KeyId, { GranteePrincipal: BOB, Marker }), 'InvalidMarkerException')
    await refused(list(await newKeyArn(), { Marker }), 'InvalidMarkerException')
    await refused(list(KeyId, { GrantId: 'x' }), 'InvalidGrantIdException')
    await refused(list(KeyId, { GranteePrincipal: 'bob' }), 'InvalidArnException')
    await refused(list(KeyId, { Limit: 101 }), 'ValidationException')
    await refused(list(ABSENT), 'NotFoundException')
    const foreign = clients.mallory.send(new ListGrantsCommand({ KeyId: KeyId.split('/')[1] }))
    await refused(foreign, 'NotFoundException')
  })

  it('that a principal may end go over all keys of the account, in pages', async () => {
    const RetiringPrincipal = `arn:aws:iam::${ALICE.accountId}:role/retires`
    const keys = [await newKeyArn(), await newKeyArn()]
    const made: string[] = []
    for (const KeyId of [...keys, ...keys])
      made.push((await grantOf(KeyId, { RetiringPrincipal })).GrantId ?? '')
    await grantOf(keys[0] ?? '', { RetiringPrincipal: BOB })
    const seen: string[] = []
    const { alice: client } = clients
    for await (const page of paginateListRetirableGrants({ client, pageSize: 3 }, { RetiringPrincipal }))
      seen.push(...(page.Grants ?? []).map(({ GrantId = '' }) => GrantId))
    expect(seen).toEqual(made.toSorted())
    const ask = (input: object) => client.send(new ListRetirableGrantsCommand(input))
    await refused(ask({}), 'ValidationException', /must specify a RetiringPrincipal/)
    await refused(ask({ RetiringPrincipal: 'x' }), 'InvalidArnException')
    const { NextMarker: Marker } = await ask({ RetiringPrincipal, Limit: 1 })
    await refused(ask({ RetiringPrincipal: BOB, Marker }), 'InvalidMarkerException')
    const other = await clients.mallory.send(new ListRetirableGrantsCommand({ RetiringPrincipal }))
    expect(other.Grants).toEqual([])
  })
})

describe('the end of a grant', () => {
  const retire = (input: object) => clients.alice.send(new RetireGrantCommand(input))
  const revoke = (KeyId: string, GrantId: string) =>
    clients.alice.send(new RevokeGrantCommand({ KeyId, GrantId }))

  it('comes by token, or by key and id, and once', async () => {
    const KeyId = await newKeyArn()
    const [one, two, three] = [await grantOf(KeyId), await grantOf(KeyId), await grantOf(KeyId)]
    await retire({ GrantToken: one.GrantToken })
    await retire({ KeyId, GrantId: two.GrantId })
    await revoke(KeyId, three.GrantId ?? '')
    expect(await list(KeyId)).toEqual([])
    await refused(retire({ GrantToken: one.GrantToken }), 'InvalidGrantTokenException')
    await refused(retire({ KeyId, GrantId: two.GrantId }), 'NotFoundException', /^Grant ID .* not found$/)
    await refused(revoke(KeyId, three.GrantId ?? ''), 'NotFoundException')
  })

  it('is refused for what names no grant of the key', async () => {
    const [KeyId, other] = [await newKeyArn(), await newKeyArn()]
    const { GrantId = '', GrantToken } = await grantOf(KeyId)
    for (const input of [{}, { KeyId }, { GrantId }, { GrantToken, KeyId }, { GrantToken, KeyId, GrantId }])
      await refused(retire(input), 'ValidationException', /either a GrantToken, or a KeyId/)
    await refused(retire({ GrantToken: 'x' }), 'InvalidGrantTokenException')
    await refused(retire({ KeyId, GrantId: 'x' }), 'InvalidGrantIdException')
    await refused(revoke(KeyId, NO_GRANT.slice(1)), 'InvalidGrantIdException')
    await refused(revoke(other, GrantId), 'NotFoundException', `Grant ID ${GrantId} not found`)
    await refused(revoke(ABSENT, GrantId), 'NotFoundException', /^Key/)
    const [keyId] = KeyId.split('/').slice(1)
    const stranger = clients.mallory.send(new RevokeGrantCommand({ KeyId: keyId, GrantId }))
    await refused(stranger, 'NotFoundException', /^Key/)
    const byToken = clients.mallory.send(new RetireGrantCommand({ GrantToken }))
    await refused(byToken, 'InvalidGrantTokenException')
    expect(await idsOf(KeyId)).toEqual([GrantId])
  })
})

describe('a grant token', () => {
  it('is taken by every operation that has it, whatever key the grant is for', async () => {
    const [KeyId, other] = [await newKeyArn(), await newKeyArn()]
    const tokens: (string | undefined)[] = []
    for (let n = 0; n < 10; n++) tokens.push((await grantOf(KeyId, { Name: 'n' })).GrantToken)
    await describeWith(KeyId, ...tokens)
    await describeWith(other, ...tokens)
    await refused(describeWith(KeyId, ...tokens, tokens[0]), 'ValidationException', /'grantTokens'/)
    const GrantTokens = tokens.map((token) => token ?? '')
    await grantOf(KeyId, { GrantTokens })
    const sealed = { KeyId, Plaintext: Buffer.from('x'), GrantTokens }
    expect((await clients.alice.send(new EncryptCommand(sealed))).KeyId).toBe(KeyId)
  })

  it('is refused when it is none, is altered, is another account’s, or its grant has ended', async () => {
    const KeyId = await newKeyArn()
    const { GrantToken = '', GrantId } = await grantOf(KeyId)
    const bytes = Buffer.from(GrantToken, 'base64url')
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 1
      await refused(describeWith(KeyId, altered.toString('base64url')), 'InvalidGrantTokenException')
    }
    const near = [GrantToken.slice(1), `${GrantToken}=`, `${GrantToken}A`, ` ${GrantToken}`, GrantId, 'x']
    for (const text of near) await refused(describeWith(KeyId, text), 'InvalidGrantTokenException')
    await refused(describeWith(KeyId, GrantToken, 'x'), 'InvalidGrantTokenException')
    await describeWith(KeyId, GrantToken)
    await clients.alice.send(new RevokeGrantCommand({ KeyId, GrantId }))
    await refused(describeWith(KeyId, GrantToken), 'InvalidGrantTokenException')
  })

  it('of one account is none of another', async () => {
    const KeyId = await newKeyArn()
    const { GrantToken = '' } = await grantOf(KeyId, { GranteePrincipal: MALLORY_ROOT })
    const { mallory } = clients
    const retired = mallory.send(new RetireGrantCommand({ GrantToken }))
    await refused(retired, 'InvalidGrantTokenException')
  })
})
