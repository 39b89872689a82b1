import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AlibabaCredentials } from '../../../src/http/alibaba/openapi/credentials.ts'
import { canonicalQuery, percentEncode } from '../../../src/http/alibaba/openapi/parameters.ts'
import { readV1Signature } from '../../../src/http/alibaba/openapi/signature-v1.ts'
import { readV3Signature } from '../../../src/http/alibaba/openapi/signature-v3.ts'
import { queryOf, rfc3986 } from '../../support/sign-alibaba.ts'

function credentialOf(accessKeyId: string, accessKeySecret: string) {
  const credentials = new AlibabaCredentials([
    { accountId: '111122223333', uid: '1', credentials: [{ accessKeyId, accessKeySecret }] },
  ])
  return credentials.find(accessKeyId).credential
}

const NO_BODY = Buffer.alloc(0)
/** SHA-256 of nothing. */
const NO_BODY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('signatures of the OpenAPI', () => {
  it('are those of the official example of version 1.0', () => {
    const parameters = new Map(
      Object.entries({
        Action: 'CreateKey',
        SignatureVersion: '1.0',
        Format: 'json',
        Version: '2016-01-20',
        AccessKeyId: 'testid',
        SignatureMethod: 'HMAC-SHA1',
        Timestamp: '2016-03-28T03:13:08Z',
        Signature: '41wk2SSX1GJh7fwnc5eqOfiJPFg=',
      }),
    )
    const request = {
      method: 'GET',
      headers: {},
      rawHeaders: [],
      body: NO_BODY,
      query: parameters,
      parameters,
    }
    const signed = readV1Signature(request)
    expect(signed.stringToSign).toBe(
      'GET&%2F&AccessKeyId%3Dtestid%26Action%3DCreateKey%26Format%3Djson%26SignatureMethod%3DHMAC-SHA1' +
        '%26SignatureVersion%3D1.0%26Timestamp%3D2016-03-28T03%253A13%253A08Z%26Version%3D2016-01-20',
    )
    const expected = signed.expected(credentialOf('testid', 'testsecret'))
    expect(expected.toString('base64')).toBe('41wk2SSX1GJh7fwnc5eqOfiJPFg=')
    expect(expected).toEqual(signed.signature)
  })

  it('are those of the official example of version 3', () => {
    const query = new Map([
      ['ImageId', 'win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd'],
      ['RegionId', 'cn-shanghai'],
    ])
    const headers = {
      host: 'ecs.cn-shanghai.aliyuncs.com',
      'x-acs-action': 'RunInstances',
      'x-acs-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      'x-acs-date': '2023-10-26T10:22:32Z',
      'x-acs-signature-nonce': '3156853299f313e23d1673dc12e1703d',
      'x-acs-version': '2014-05-26',
    }
    const signature = '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0'
    const authorization = `ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=${Object.keys(headers).join(';')},Signature=${signature}`
    const rawHeaders = Object.entries(headers).flat()
    const request = { method: 'POST', headers: {}, rawHeaders, body: NO_BODY, query, parameters: query }
    const signed = readV3Signature(request, authorization)
    expect(signed.stringToSign).toBe(
      'ACS3-HMAC-SHA256\n7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259',
    )
    const expected = signed.expected(credentialOf('YourAccessKeyId', 'YourAccessKeySecret'))
    expect(expected.toString('hex')).toBe(signature)
    expect(signed).toMatchObject({
      accessKeyId: 'YourAccessKeyId',
      action: 'RunInstances',
      version: '2014-05-26',
    })
  })

  it('encode by RFC 3986 alone, every character', () => {
    expect(percentEncode("!'()*~ +%/ü😀")).toBe('%21%27%28%29%2A~%20%2B%25%2F%C3%BC%F0%9F%98%80')
    const text = fc.string({ unit: 'grapheme' }).filter((value) => value.isWellFormed())
    fc.assert(
      fc.property(text, (value) => {
        expect(percentEncode(value)).toBe(rfc3986(value))
      }),
    )
    const pairs = fc.dictionary(fc.stringMatching(/^[\w.]+$/), text, { noNullPrototype: true })
    fc.assert(
      fc.property(pairs, (record) => {
        expect(canonicalQuery(Object.entries(record))).toBe(queryOf(record))
      }),
    )
  })

  it.each(['authorization', 'host', 'content-type', 'x-acs-action', 'x-acs-extra'])(
    'of version 3 speak of one header of a name: %s',
    (name) => {
      const authorization = `ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=${'0'.repeat(64)}`
      const rawHeaders = ['X-Acs-Content-Sha256', NO_BODY_HASH, name, 'x', name.toUpperCase(), 'x']
      const none = new Map()
      const request = {
        method: 'POST',
        headers: {},
        rawHeaders,
        body: NO_BODY,
        query: none,
        parameters: none,
      }
      expect(() => readV3Signature(request, authorization)).toThrow(
        `The header ${name} is there more than once.`,
      )
    },
  )
})
