import { describe, expect, it } from 'vitest'
import { parseRamKeyPolicy } from '../../../src/core/authorize/ram-policy.ts'

const ACCOUNT = 'acs:ram::1111222233334444:*'
const base = {
  Sid: 'kms default key policy',
  Effect: 'Allow',
  Principal: { RAM: [ACCOUNT] },
  Action: ['kms:*'],
  Resource: ['*'],
}
const policy = (...statements: readonly object[]) => JSON.stringify({ Version: '1', Statement: statements })

describe('a key policy of Alibaba Cloud', () => {
  it('is read with all that it says', () => {
    const users = ['acs:ram::1111222233334444:user/ops', 'acs:ram::5555666677778888:role/reader']
    const limited = {
      Effect: 'Deny',
      Principal: { RAM: users },
      Action: ['kms:Encrypt', 'kms:Describe*'],
      Resource: '*',
      Condition: { StringEquals: { 'kms:tag/a': ['x', 'y'] } },
    }
    expect(parseRamKeyPolicy(policy(base, limited))).toEqual([
      {
        effect: 'Allow',
        principals: { except: false, named: { RAM: [ACCOUNT] } },
        actions: { except: false, patterns: ['kms:*'] },
        resources: { except: false, patterns: ['*'] },
        conditions: {},
      },
      {
        effect: 'Deny',
        principals: { except: false, named: { RAM: users } },
        actions: { except: false, patterns: ['kms:Encrypt', 'kms:Describe*'] },
        resources: { except: false, patterns: ['*'] },
        conditions: { StringEquals: { 'kms:tag/a': ['x', 'y'] } },
      },
    ])
  })

  it.each([
    ['one statement without a list', JSON.stringify({ Version: '1', Statement: base })],
    ['no sid', policy({ ...base, Sid: undefined })],
    ['the account itself', policy({ ...base, Principal: { RAM: 'acs:ram::1111222233334444:root' } })],
    ['an operation that there is not', policy({ ...base, Action: 'kms:NoSuchThing' })],
    ['exactly 32768 bytes', policy(base).padEnd(32_768)],
  ])('is taken with %s', (_what, text) => {
    expect(parseRamKeyPolicy(text)).toHaveLength(1)
  })

  it.each([
    ['no JSON', '{', 'not valid JSON'],
    ['no object', '[]', 'the document'],
    ['no version', JSON.stringify({ Statement: [base] }), 'Version'],
    ['a version of AWS', JSON.stringify({ Version: '2012-10-17', Statement: [base] }), 'Version'],
    ['a number for its version', JSON.stringify({ Version: 1, Statement: [base] }), 'Version'],
    ['an id', JSON.stringify({ Version: '1', Id: 'x', Statement: [base] }), 'unknown element'],
    ['no statements', policy(), 'Statement'],
    ['a text for a statement', JSON.stringify({ Version: '1', Statement: ['x'] }), 'Statement 1'],
    [
      'an element that it does not know',
      policy({ ...base, NotAction: 'kms:*' }),
      'Statement 1 has an unknown',
    ],
    ['a sid of other characters', policy({ ...base, Sid: 'a,b' }), 'Sid'],
    ['a sid that is too long', policy({ ...base, Sid: 'a'.repeat(129) }), 'Sid'],
    ['another effect', policy(base, { ...base, Effect: 'allow' }), 'Statement 2, Effect'],
    ['no principal', policy({ ...base, Principal: undefined }), 'Principal'],
    ['everybody', policy({ ...base, Principal: '*' }), 'Principal'],
    ['a principal of AWS', policy({ ...base, Principal: { AWS: '123456789012' } }), 'Principal'],
    ['two kinds of principals', policy({ ...base, Principal: { RAM: ACCOUNT, Service: 'x' } }), 'Principal'],
    ['no names of principals', policy({ ...base, Principal: { RAM: [] } }), 'Principal'],
    ['an ARN of AWS', policy({ ...base, Principal: { RAM: 'arn:aws:iam::123456789012:root' } }), 'Principal'],
    ['an account that is none', policy({ ...base, Principal: { RAM: 'acs:ram::*:*' } }), 'Principal'],
    ['operations of others', policy({ ...base, Action: ['kms:*', 'oss:*'] }), 'Action'],
    ['no operations', policy({ ...base, Action: [] }), 'Action'],
    ['another resource', policy({ ...base, Resource: ['*', 'acs:kms:r:1:key/x'] }), 'Resource'],
    ['no resource', policy({ ...base, Resource: undefined }), 'Resource'],
    ['conditions that are none', policy({ ...base, Condition: [] }), 'Condition'],
  ])('is refused with %s', (_what, text, says) => {
    expect(() => parseRamKeyPolicy(text)).toThrow(
      expect.objectContaining({ code: 'POLICY_INVALID', message: expect.stringContaining(says) }),
    )
  })

  it('is refused past 32768 bytes', () => {
    const refused = expect.objectContaining({ code: 'LIMIT_EXCEEDED' })
    expect(() => parseRamKeyPolicy(policy(base).padEnd(32_769))).toThrow(refused)
  })
})
