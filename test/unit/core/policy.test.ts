import { describe, expect, it } from 'vitest'
import { parseKeyPolicy } from '../../../src/core/authorize/policy.ts'
import { matches, requireNoLockout } from '../../../src/core/authorize/policy-lockout.ts'
import { isPrincipalArn, isServicePrincipal } from '../../../src/core/authorize/principal.ts'
import { ALICE } from '../../support/kms-fixture.ts'

const ROOT = `arn:aws:iam::${ALICE.accountId}:root`
const ME = `arn:aws:iam::${ALICE.accountId}:user/${ALICE.accessKeyId}`
const KEY = { keyId: '11111111-1111-4111-8111-111111111111' }
const KEY_ARN = `arn:aws:kms:us-east-1:${ALICE.accountId}:key/${KEY.keyId}`

const base = { Effect: 'Allow', Principal: { AWS: ROOT }, Action: 'kms:*', Resource: '*' }
const policy = (...statements: readonly object[]) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements })

describe('a key policy', () => {
  it.each([
    ['the default one', policy({ Sid: 'a', ...base })],
    ['one statement without a list', JSON.stringify({ Statement: base })],
    ['an older version and an id', JSON.stringify({ Version: '2008-10-17', Id: 'x', Statement: [base] })],
    ['everybody', policy({ ...base, Principal: '*' })],
    ['an account number', policy({ ...base, Principal: { AWS: ['123456789012', '*'] } })],
    ['a service', policy({ ...base, Principal: { Service: 'logs.us-east-1.amazonaws.com' } })],
    [
      'elements turned round',
      policy({ Effect: 'Deny', NotPrincipal: { AWS: ROOT }, NotAction: ['s3:*'], NotResource: 'x' }),
    ],
    [
      'conditions',
      policy({
        ...base,
        Condition: { Bool: { 'kms:GrantIsForAWSResource': true }, 'ForAnyValue:StringLike': { a: ['b', 1] } },
      }),
    ],
    ['exactly 32768 bytes', policy(base).padEnd(32_768)],
  ])('may have %s', (_, text) => {
    expect(parseKeyPolicy(text).length).toBe(1)
  })

  it('is read into its parts', () => {
    const statement = { ...base, Action: ['kms:Encrypt', 'kms:Re*'], Condition: { Bool: { a: true } } }
    expect(parseKeyPolicy(policy(statement))).toEqual([
      {
        effect: 'Allow',
        principals: { except: false, named: { AWS: [ROOT] } },
        actions: { except: false, patterns: ['kms:Encrypt', 'kms:Re*'] },
        resources: { except: false, patterns: ['*'] },
        conditions: { Bool: { a: ['true'] } },
      },
    ])
  })

  it.each([
    ['no JSON', '{', 'not valid JSON'],
    ['a list', '[]', 'the document'],
    ['a text', '"x"', 'the document'],
    ['no statement', '{}', 'Statement'],
    ['no statements', policy(), 'Statement'],
    ['another version', JSON.stringify({ Version: '2020-01-01', Statement: base }), 'Version'],
    ['an element of its own', JSON.stringify({ Statement: base, X: 1 }), 'unknown element'],
    ['an element of a statement’s own', policy({ ...base, X: 1 }), 'Statement 1 has an unknown'],
    ['no effect', policy({ ...base, Effect: 'allow' }), 'Effect'],
    ['no principal', policy({ ...base, Principal: undefined }), 'Principal'],
    ['an empty principal', policy({ ...base, Principal: {} }), 'Principal'],
    ['two kinds of principal', policy({ ...base, NotPrincipal: '*' }), 'Principal'],
    ['no action', policy({ ...base, Action: [] }), 'Action'],
    ['an action that is none', policy({ ...base, Action: 'Encrypt' }), 'Action'],
    ['no resource', policy(base, { ...base, Resource: undefined }), 'Statement 2, Resource'],
    ['a number for a resource', policy({ ...base, Resource: 1 }), 'Resource'],
    ['conditions that are none', policy({ ...base, Condition: [] }), 'Condition'],
    ['a condition without keys', policy({ ...base, Condition: { Bool: 'x' } }), 'Condition'],
    ['a condition on an object', policy({ ...base, Condition: { Bool: { a: {} } } }), 'Condition'],
    ['one sid twice', policy({ ...base, Sid: 'a' }, { ...base, Sid: 'a' }), 'Sid'],
  ])('may not have %s', (_, text, says) => {
    expect(() => parseKeyPolicy(text)).toThrow(
      expect.objectContaining({ code: 'POLICY_INVALID', message: expect.stringContaining(says) }),
    )
  })

  it.each([
    { AWS: 'nobody' },
    { AWS: 'arn:aws:s3:::bucket' },
    { AWS: 'arn:aws:iam::12:root' },
    { Service: 'example.com' },
    { Someone: '*' },
    { ['__proto__x']: 'a' },
  ])('may not name %j', (Principal) => {
    const message = 'Policy contains a statement with one or more invalid principals.'
    expect(() => parseKeyPolicy(policy({ ...base, Principal }))).toThrow(message)
  })

  it('has at most 32768 bytes, whatever they are', () => {
    for (const text of [policy(base).padEnd(32_769), 'ÿ'.repeat(16_385)])
      expect(() => parseKeyPolicy(text)).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })
})

describe('the lockout check', () => {
  const check = (...statements: readonly object[]) =>
    requireNoLockout(parseKeyPolicy(policy(...statements)), ALICE, KEY)

  it.each([
    ['the account', base],
    ['its number', { ...base, Principal: { AWS: ALICE.accountId } }],
    ['the caller', { ...base, Principal: { AWS: ['arn:aws:iam::999999999999:root', ME] } }],
    ['everybody', { ...base, Principal: '*' }],
    ['everybody but others', { ...base, Principal: undefined, NotPrincipal: { AWS: '123456789012' } }],
    ['the very action', { ...base, Action: ['kms:Encrypt', 'kms:PutKeyPolicy'] }],
    ['a pattern of actions', { ...base, Action: 'KMS:put*' }],
    ['all actions but others', { ...base, Action: undefined, NotAction: 'kms:Delete*' }],
    ['the very key', { ...base, Resource: KEY_ARN }],
    ['a pattern of keys', { ...base, Resource: 'arn:aws-cn:kms:*:*:key/*' }],
  ])('passes when %s may go on', (_, statement) => {
    expect(() => check(statement)).not.toThrow()
  })

  it.each([
    ['another account', [{ ...base, Principal: { AWS: 'arn:aws:iam::999999999999:root' } }]],
    ['another user', [{ ...base, Principal: { AWS: `${ME}x` } }]],
    ['a service', [{ ...base, Principal: { Service: 'ec2.amazonaws.com' } }]],
    ['other actions', [{ ...base, Action: ['kms:Encrypt', 'kms:PutKeyPolic?x'] }]],
    ['all actions but this one', [{ ...base, Action: undefined, NotAction: 'kms:Put*' }]],
    ['another key', [{ ...base, Resource: `${KEY_ARN}x` }]],
    ['who meets a condition', [{ ...base, Condition: { Bool: { a: 'true' } } }]],
    ['nobody after all', [base, { ...base, Effect: 'Deny', Principal: { AWS: ME } }]],
    ['nobody', [{ ...base, Effect: 'Deny' }]],
  ])('refuses when only %s may go on', (_, statements) => {
    const message = 'The new key policy will not allow you to update the key policy in the future.'
    expect(() => check(...statements)).toThrow(message)
  })

  it('takes a denial to others, or on a condition, for none', () => {
    const other = { ...base, Effect: 'Deny', Principal: { AWS: 'arn:aws:iam::999999999999:root' } }
    const conditional = { ...base, Effect: 'Deny', Condition: { Bool: { a: 'true' } } }
    expect(() => check(base, other, conditional)).not.toThrow()
  })
})

describe('a pattern', () => {
  it.each([
    ['*', '', true],
    ['', '', true],
    ['?', '', false],
    ['a*c', 'abbbc', true],
    ['a*c', 'abbb', false],
    ['*a?c*', 'xxaacaabcx', true],
    ['a**', 'a', true],
    ['ab', 'abc', false],
  ])('%s is of %s: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  it('is soon done with however many stars', () => {
    const before = performance.now()
    expect(matches(`${'*a'.repeat(10_000)}b`, 'a'.repeat(100))).toBe(false)
    expect(matches(`${'*a'.repeat(40)}b`, 'a'.repeat(100))).toBe(false)
    expect(performance.now() - before).toBeLessThan(200)
  })
})

describe('the name of a principal', () => {
  it.each([
    ROOT,
    ME,
    'arn:aws-us-gov:iam::111122223333:role/a/b/Role_1',
    'arn:aws:sts::111122223333:assumed-role/r/s@x',
    'arn:aws:sts::111122223333:federated-user/f',
  ])('may be %s', (arn) => {
    expect(isPrincipalArn(arn)).toBe(true)
  })

  it.each([
    '',
    'root',
    'arn:aws:iam:us-east-1:111122223333:root',
    'arn:aws:iam::11112222333:root',
    'arn:xx:iam::111122223333:root',
    'arn:aws:iam::111122223333:group/g',
    'arn:aws:iam::111122223333:user/',
    'arn:aws:iam::111122223333:user/a b',
    'arn:aws:sts::111122223333:root',
    `arn:aws:iam::111122223333:user/${'x'.repeat(65)}`,
  ])('may not be %s', (arn) => {
    expect(isPrincipalArn(arn)).toBe(false)
  })

  it('of a service is its host', () => {
    expect(isServicePrincipal('ec2.amazonaws.com')).toBe(true)
    for (const other of ['ec2', 'amazonaws.com', 'ec2.example.com', 'ec2.amazonaws.com.evil'])
      expect(isServicePrincipal(other)).toBe(false)
  })
})
