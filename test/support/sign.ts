import { createHash, createHmac } from 'node:crypto'

export interface SigningCredential {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface RequestToSign {
  readonly credential: SigningCredential
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  readonly at?: number
  readonly region?: string
  readonly service?: string
  readonly method?: string
  readonly path?: string
  /** Query of the request target, in its canonical order and encoding. */
  readonly query?: string
  /** Date of the scope, where it is to differ from the request's. */
  readonly scopeDate?: string
  /** Headers to leave out of the signature. */
  readonly unsigned?: readonly string[]
  /** What the canonical request says of the body, where it is to differ from the truth. */
  readonly payloadHash?: string
}

/**
 * Signs `POST /` by Signature Version 4 in the plainest way: written apart from the code under test, so that one
 * misreading of the standard is not on both sides.
 */
export function signRequest(request: RequestToSign): Record<string, string> {
  const { credential, body = '', region = 'us-east-1', service = 'kms', at = Date.now() } = request
  const { method = 'POST', path = '/', query = '', unsigned = [] } = request
  const dateTime = new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')
  const headers: Record<string, string> = { ...request.headers, 'x-amz-date': dateTime }
  if (credential.sessionToken) headers['x-amz-security-token'] = credential.sessionToken
  const names = Object.keys(headers)
    .map((name) => name.toLowerCase())
    .filter((name) => !unsigned.includes(name))
    .toSorted()
  const value = (name: string) =>
    (Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1] ?? '')
      .trim()
      .replace(/ +/g, ' ')
  const canonical = [
    method,
    path,
    query,
    ...names.map((name) => `${name}:${value(name)}`),
    '',
    names.join(';'),
    request.payloadHash ?? sha256(body),
  ].join('\n')
  const date = request.scopeDate ?? dateTime.slice(0, 8)
  const scope = `${date}/${region}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', dateTime, scope, sha256(canonical)].join('\n')
  let key: Buffer = Buffer.from(`AWS4${credential.secretAccessKey}`)
  for (const step of [date, region, service, 'aws4_request']) key = hmac(key, step)
  const signature = hmac(key, toSign).toString('hex')
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${credential.accessKeyId}/${scope}, ` +
    `SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { ...headers, authorization }
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
