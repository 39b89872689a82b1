import { connect, type Socket } from 'node:net'
import { signRequest } from '../../test/support/sign.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const CREDENTIAL = {
  accessKeyId: process.env['AWS_ACCESS_KEY_ID'] ?? '',
  secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
}

/** A signed request, ready to be written. Good for the five minutes that its signature is. */
export function signedRequest(port: string, operation: string, input: object): Buffer {
  const body = JSON.stringify(input)
  const headers = signRequest({
    credential: CREDENTIAL,
    body,
    headers: {
      host: `127.0.0.1:${port}`,
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `TrentService.${operation}`,
    },
  })
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)) })
  return Buffer.from(`POST / HTTP/1.1\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n${body}`)
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** Name of the fault in an answer that is not ok. */
export function faultOf(answer: Answer): string {
  return /"__type":"(\w+)"/.exec(answer.body)?.[1] ?? `status ${answer.status}`
}

/** A kept-alive connection with one exchange at a time. */
export class Connection {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', (error) => this.#settle?.reject(error))
    socket.on('close', () => this.#settle?.reject(new Error('the server closed the connection')))
  }

  static async open(port: string): Promise<Connection> {
    const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new Connection(socket)
  }

  exchange(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#settle = undefined
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    const headEnd = this.#received.indexOf(HEAD_END)
    if (headEnd < 0) return
    const head = this.#received.toString('latin1', 0, headEnd)
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
    const bodyAt = headEnd + HEAD_END.length
    if (this.#received.length < bodyAt + length) return
    const answer = {
      status: Number(head.slice(9, 12)),
      body: this.#received.toString('utf8', bodyAt, bodyAt + length),
    }
    this.#received = this.#received.subarray(bodyAt + length)
    this.#settle?.resolve(answer)
  }
}
