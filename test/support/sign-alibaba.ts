import { createHash, createHmac, randomUUID } from 'node:crypto'

export interface AlibabaSigningCredential {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken?: string
}

/** Written apart from the code under test: RFC 3986 by what it names as unreserved, byte by byte. */
export function rfc3986(text: string): string {
  return [...Buffer.from(text, 'utf8')]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9_.~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}

export function queryOf(parameters: Readonly<Record<string, string>>): string {
  return Object.keys(parameters)
    .toSorted()
    .map((name) => `${rfc3986(name)}=${rfc3986(parameters[name] ?? '')}`)
    .join('&')
}

/** All parameters of a V1 request, the signature among them. */
export function signV1(
  credential: AlibabaSigningCredential,
  method: string,
  parameters: Readonly<Record<string, string>>,
  at: number,
): Record<string, string> {
  const whole: Record<string, string> = {
    Version: '2016-01-20',
    AccessKeyId: credential.accessKeyId,
    SignatureMethod: 'HMAC-SHA1',
    SignatureVersion: '1.0',
    Timestamp: new Date(at).toISOString().replace(/\.\d+/, ''),
    SignatureNonce: randomUUID(),
    ...(credential.securityToken && { SecurityToken: credential.securityToken }),
    ...parameters,
  }
  const toSign = `${method}&%2F&${rfc3986(queryOf(whole))}`
  const Signature = createHmac('sha1', `${credential.accessKeySecret}&`).update(toSign).digest('base64')
  return { ...whole, Signature }
}

export interface V3Request {
  readonly method?: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: string
  readonly action: string
  readonly version?: string
  readonly at: number
  /** Over those that are always there. */
  readonly headers?: Readonly<Record<string, string>>
  /** Headers to leave out of the signature. */
  readonly unsigned?: readonly string[]
}

/** All headers of a V3 request. */
export function signV3(credential: AlibabaSigningCredential, request: V3Request): Record<string, string> {
  const { method = 'POST', query = {}, body = '', unsigned = [] } = request
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const headers: Record<string, string> = {
    host: 'localhost:7711',
    'x-acs-action': request.action,
    'x-acs-version': request.version ?? '2016-01-20',
    'x-acs-date': new Date(request.at).toISOString().replace(/\.\d+/, ''),
    'x-acs-signature-nonce': randomUUID(),
    'x-acs-content-sha256': sha256(body),
    ...(credential.securityToken && { 'x-acs-security-token': credential.securityToken }),
    ...request.headers,
  }
  const names = Object.keys(headers)
    .filter((name) => !unsigned.includes(name) && /^(?:host|content-type|x-acs-.*)$/.test(name))
    .toSorted()
  const canonical = [
    method,
    '/',
    queryOf(query),
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n')
  const signature = createHmac('sha256', credential.accessKeySecret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex')
  const authorization = `ACS3-HMAC-SHA256 Credential=${credential.accessKeyId},SignedHeaders=${names.join(';')},Signature=${signature}`
  return { ...headers, authorization }
}
