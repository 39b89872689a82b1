import { createHash, type KeyObject, sign } from 'node:crypto'
import { request as httpRequest } from 'node:http'

/**
 * A client of the KMS Instance API, written from the published messages and SDKs and apart from the code under test: its
 * protobuf is its own, so that one misreading is not on both sides.
 */
const PAIR =
  'KeyId:s Iv:b KeyPairSpec:s PrivateKeyPlaintext:b PrivateKeyCiphertextBlob:b PublicKey:b RequestId:s Algorithm:s'
const SEALED_PAIR =
  'KeyId:s Iv:b KeyPairSpec:s PrivateKeyCiphertextBlob:b PublicKey:b RequestId:s Algorithm:s'
const ENCRYPT = 'KeyId:s Plaintext:b Algorithm:s Aad:b Iv:b PaddingMode:s'
const DECRYPT = 'CiphertextBlob:b KeyId:s Algorithm:s Aad:b Iv:b PaddingMode:s'

/** By API: fields of the request and of the response, numbered from 1; s string, b bytes, i int32, t bool. */
const APIS: ReadonlyMap<string, readonly [request: string, response: string]> = new Map(
  Object.entries({
    Encrypt: [ENCRYPT, 'KeyId:s CiphertextBlob:b Iv:b RequestId:s Algorithm:s PaddingMode:s'],
    AdvanceEncrypt: [
      ENCRYPT,
      'KeyId:s CiphertextBlob:b Iv:b RequestId:s Algorithm:s PaddingMode:s KeyVersionId:s',
    ],
    Decrypt: [DECRYPT, 'KeyId:s Plaintext:b RequestId:s Algorithm:s PaddingMode:s'],
    AdvanceDecrypt: [DECRYPT, 'KeyId:s Plaintext:b RequestId:s Algorithm:s PaddingMode:s KeyVersionId:s'],
    Sign: [
      'KeyId:s Digest:b Algorithm:s Message:b MessageType:s',
      'KeyId:s Signature:b RequestId:s Algorithm:s MessageType:s',
    ],
    Verify: [
      'KeyId:s Digest:b Signature:b Algorithm:s Message:b MessageType:s',
      'KeyId:s Value:t RequestId:s Algorithm:s MessageType:s',
    ],
    GenerateRandom: ['Length:i', 'Random:b RequestId:s'],
    GenerateDataKey: [
      'KeyId:s Algorithm:s NumberOfBytes:i Aad:b',
      'KeyId:s Iv:b Plaintext:b CiphertextBlob:b RequestId:s Algorithm:s',
    ],
    GetPublicKey: ['KeyId:s', 'KeyId:s PublicKey:s RequestId:s'],
    GetSecretValue: ['SecretName:s VersionStage:s VersionId:s FetchExtendedConfig:t', 'SecretName:s'],
    AdvanceGenerateDataKey: [
      'KeyId:s NumberOfBytes:i Aad:b',
      'KeyId:s Iv:b Plaintext:b CiphertextBlob:b RequestId:s Algorithm:s KeyVersionId:s',
    ],
    GenerateDataKeyPair: ['KeyId:s Algorithm:s KeyPairSpec:s KeyFormat:s Aad:b', PAIR],
    GenerateDataKeyPairWithoutPlaintext: ['KeyId:s Algorithm:s KeyPairSpec:s KeyFormat:s Aad:b', SEALED_PAIR],
    AdvanceGenerateDataKeyPair: ['KeyId:s KeyPairSpec:s KeyFormat:s Aad:b', `${PAIR} KeyVersionId:s`],
    AdvanceGenerateDataKeyPairWithoutPlaintext: [
      'KeyId:s KeyPairSpec:s KeyFormat:s Aad:b',
      `${SEALED_PAIR} KeyVersionId:s`,
    ],
  } satisfies Record<string, [string, string]>),
)
const ERROR = 'StatusCode:i ErrorCode:s ErrorMessage:s RequestId:s'

export type Fields = Readonly<Record<string, string | number | boolean | Buffer | undefined>>

/** What came back; a field that was not sent has the default of its kind. */
export interface DkmsAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Text fields of the answer, numbers and truth values as text. */
  readonly text: Readonly<Record<string, string>>
  readonly bytes: Readonly<Record<string, Buffer>>
}

/** Sends a request and gives what came back. */
export type Transport = (
  headers: Readonly<Record<string, string>>,
  body: Buffer,
) => Promise<{
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}>

export interface DkmsIdentity {
  readonly clientKeyId: string
  readonly privateKey: KeyObject
}

export interface CallOptions {
  readonly at?: number
  readonly scheme?: string
  /** Headers that are signed, in place of those that a client sends. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Headers over the signed ones. */
  readonly extra?: Readonly<Record<string, string>>
  /** Bytes of the message, in place of the fields. */
  readonly body?: Buffer
  readonly sentBody?: Buffer
}

export class DkmsClient {
  readonly #identity: DkmsIdentity
  readonly #transport: Transport
  readonly #now: () => number

  constructor(identity: DkmsIdentity, transport: Transport, now: () => number = Date.now) {
    this.#identity = identity
    this.#transport = transport
    this.#now = now
  }

  async call(api: string, fields: Fields = {}, options: CallOptions = {}): Promise<DkmsAnswer> {
    const [requestShape, responseShape] = APIS.get(api) ?? ['', '']
    const body = options.body ?? encode(requestShape, fields)
    const signed = signDkms(this.#identity, api, body, { at: this.#now(), ...options })
    const answer = await this.#transport({ ...signed, ...options.extra }, options.sentBody ?? body)
    const shape = answer.status === 200 ? responseShape : ERROR
    return { status: answer.status, headers: answer.headers, ...decode(shape, answer.body) }
  }
}

/** The headers that the SDKs send, signed as they do. */
export function signDkms(
  { clientKeyId, privateKey }: DkmsIdentity,
  api: string,
  body: Buffer,
  { at = Date.now(), scheme = 'Bearer', headers: changes = {} }: CallOptions = {},
): Record<string, string> {
  const wanted: Record<string, string | undefined> = {
    accept: 'application/x-protobuf',
    host: 'localhost:7711',
    date: new Date(at).toUTCString(),
    'user-agent': 'AlibabaCloud (Linux; x86_64) test',
    'x-kms-apiversion': 'dkms-gcs-0.2',
    'x-kms-apiname': api,
    'x-kms-signaturemethod': 'RSA_PKCS1_SHA_256',
    'x-kms-acccesskeyid': clientKeyId,
    'content-type': 'application/x-protobuf',
    'content-sha256': createHash('sha256').update(body).digest('hex').toUpperCase(),
    ...changes,
  }
  const headers = Object.fromEntries(
    Object.entries(wanted).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  let text = `POST\n${headers['content-sha256']}\n${headers['content-type']}\n${headers['date']}\n`
  for (const name of Object.keys(headers).toSorted()) {
    if (name.startsWith('x-kms-')) text += `${name}:${headers[name]?.trim()}\n`
  }
  const signature = sign('sha256', Buffer.from(`${text}/`, 'latin1'), privateKey)
  return { ...headers, authorization: `${scheme} ${signature.toString('base64')}` }
}

/** Over the network, to `http://host:port`. */
export function httpTransport(endpoint: string): Transport {
  return (headers, body) =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(endpoint)
      const sent = { ...headers, 'content-length': String(body.length) }
      const request = httpRequest(
        { hostname, port, path: '/', method: 'POST', headers: sent },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          )
          response.on('error', reject)
        },
      )
      request.on('error', reject)
      request.end(body)
    })
}

function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

export function encode(shape: string, fields: Fields): Buffer {
  const parts: Buffer[] = []
  shape.split(' ').forEach((column, index) => {
    const [name = '', kind = ''] = column.split(':')
    const value = fields[name]
    if (value === undefined || value === '' || value === 0 || value === false) return
    if (kind === 'i' || kind === 't') {
      parts.push(varint((index + 1) << 3), varint(Number(value)))
      return
    }
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value), 'utf8')
    if (bytes.length > 0) parts.push(varint(((index + 1) << 3) | 2), varint(bytes.length), bytes)
  })
  return Buffer.concat(parts)
}

function decode(shape: string, bytes: Buffer): Pick<DkmsAnswer, 'text' | 'bytes'> {
  const columns = shape.split(' ').map((column) => column.split(':') as [string, string])
  const text: Record<string, string> = {}
  const blobs: Record<string, Buffer> = {}
  for (const [name, kind] of columns) {
    if (kind === 'b') blobs[name] = Buffer.alloc(0)
    else text[name] = kind === 's' ? '' : kind === 't' ? 'false' : '0'
  }
  let at = 0
  const next = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('the message is cut short')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(32, value))
    }
  }
  while (at < bytes.length) {
    const tag = next()
    const [name, kind] = columns[(tag >> 3) - 1] ?? []
    if (name === undefined) throw new Error(`field ${tag >> 3} is none of "${shape}"`)
    if ((tag & 7) === 0) {
      const value = next()
      text[name] = kind === 't' ? String(value === 1) : String(value)
      continue
    }
    if ((tag & 7) !== 2) throw new Error('an unexpected wire type')
    const end = next() + at
    if (end > bytes.length) throw new Error('the message is cut short')
    if (kind === 'b') blobs[name] = bytes.subarray(at, end)
    else text[name] = bytes.toString('utf8', at, end)
    at = end
  }
  return { text, bytes: blobs }
}
