import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseAuthorization } from '../../../src/http/aws/authorization-header.ts'
import { canonicalRequest } from '../../../src/http/aws/canonical-request.ts'
import { CredentialDirectory } from '../../../src/http/aws/credentials.ts'

const CREDENTIAL = 'AKIA/20261128/us-east-1/kms/aws4_request'
const SIGNATURE = '0'.repeat(64)

function authorizationOf(parts: { credential?: string; signedHeaders?: string; more?: string } = {}): string {
  const { credential = CREDENTIAL, signedHeaders = 'host;x-amz-date', more = '' } = parts
  return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${SIGNATURE}${more}`
}
/** So many header names in order. */
const names = (count: number) =>
  Array.from({ length: count }, (_, n) => `x-${String(n).padStart(3, '0')}`).join(';')

describe('an Authorization header', () => {
  it('is read in its parts', () => {
    expect(parseAuthorization(authorizationOf())).toEqual({
      accessKeyId: 'AKIA',
      date: '20261128',
      region: 'us-east-1',
      service: 'kms',
      signedHeaders: ['host', 'x-amz-date'],
      signedHeadersText: 'host;x-amz-date',
      signature: Buffer.alloc(32),
    })
    expect(parseAuthorization(authorizationOf({ signedHeaders: names(64) })).signedHeaders).toHaveLength(64)
  })

  it.each([
    ['a parameter twice', { more: `, Credential=${CREDENTIAL}` }, 'malformed parameter'],
    ['a parameter without a name', { more: ', =x' }, 'malformed parameter'],
    ['a parameter without a value', { more: ', x' }, 'malformed parameter'],
    ['a signed header twice', { signedHeaders: 'host;host' }, 'ascending order'],
    ['signed headers out of order', { signedHeaders: 'x-amz-date;host' }, 'ascending order'],
    ['signed headers in upper case', { signedHeaders: 'Host' }, 'ascending order'],
    ['65 signed headers', { signedHeaders: names(65) }, 'ascending order'],
    ['no signed header', { signedHeaders: '' }, 'ascending order'],
    ['more than 4096 characters', { more: `, x=${'x'.repeat(4_096)}` }, 'too long'],
    ['a credential of six parts', { credential: `${CREDENTIAL}/x` }, 'exactly 5'],
    ['a credential of four parts', { credential: 'AKIA/20261128/us-east-1/kms' }, 'exactly 5'],
    ['another terminator', { credential: 'AKIA/20261128/us-east-1/kms/aws5_request' }, 'valid terminator'],
    ['another form of the date', { credential: 'AKIA/2026-11-28/us-east-1/kms/aws4_request' }, 'YYYYMMDD'],
    ['no access key', { credential: '/20261128/us-east-1/kms/aws4_request' }, 'malformed element'],
  ])('is refused with %s', (_, parts, message) => {
    expect(() => parseAuthorization(authorizationOf(parts))).toThrow(message)
  })
})

it('a query is signed in the order of its names, then of its values', () => {
  const request = { method: 'GET', headers: [], signedHeadersText: '', payloadHash: '' }
  const queryOf = (query: string) => canonicalRequest({ ...request, url: `/?${query}` }).split('\n')[2]
  expect(queryOf('b=1&a=2&a=1&a')).toBe('a=&a=1&a=2&b=1')
})

it('a signing key is of one day, region and service', () => {
  const secretAccessKey = 'a secret access key'
  const account = { accountId: '111122223333', credentials: [{ accessKeyId: 'AKIA', secretAccessKey }] }
  const directory = new CredentialDirectory([account])
  const { credential } = directory.find('AKIA')
  const scopes = [
    ['20261128', 'us-east-1', 'kms'],
    ['20261128', 'us-east-1', 'sts'],
    ['20261128', 'eu-west-1', 'kms'],
    ['20261129', 'us-east-1', 'kms'],
  ] as const
  for (const [date, region, service] of [...scopes, ...scopes]) {
    let key = Buffer.from(`AWS4${secretAccessKey}`)
    for (const step of [date, region, service, 'aws4_request'])
      key = createHmac('sha256', key).update(step).digest()
    expect(directory.signingKey(credential, date, region, service).export()).toEqual(key)
  }
})
