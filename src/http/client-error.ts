import type { Socket } from 'node:net'
import type { Logger } from 'pino'

/** Status line per error of Node's HTTP parser and timers; anything else is a bad request. */
const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

const BAD_REQUEST = '400 Bad Request'

/** Answers bytes that are no HTTP request and closes the connection. Nothing of what was sent is repeated or logged. */
export function answerClientError(logger: Logger, error: NodeJS.ErrnoException, socket: Socket): void {
  logger.debug({ code: error.code, remoteAddress: socket.remoteAddress }, 'malformed HTTP')
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const statusLine = CLIENT_ERRORS[error.code ?? ''] ?? BAD_REQUEST
  const body = JSON.stringify({ message: 'The request is not valid HTTP or took too long.' })
  const head = [
    `HTTP/1.1 ${statusLine}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroySoon()
}
