import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'

/**
 * Requests that a connection may have unanswered at a time. No SDK sends one before it has the answer to the last;
 * Node would read as many as fit, start them all, and hold their answers until the client reads.
 */
const UNANSWERED_MAX = 4

/** Closes a connection that sends requests faster than it reads their answers. */
export function limitPipelining(app: FastifyInstance, logger: Logger): void {
  const unanswered = new WeakMap<Socket, number>()
  const add = (socket: Socket, change: number): number => {
    const count = (unanswered.get(socket) ?? 0) + change
    unanswered.set(socket, count)
    return count
  }
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw
    if (add(socket, 1) > UNANSWERED_MAX) {
      logger.debug({ remoteAddress: socket.remoteAddress }, 'too many requests without reading an answer')
      reply.hijack()
      socket.destroy()
    } else {
      reply.raw.once('close', () => add(socket, -1))
    }
    done()
  })
}

/**
 * Tells when the server is closing, and closes what Node then leaves open: a connection that has not sent a byte yet
 * counts as busy until its headers are overdue.
 */
export function watchDrain(app: FastifyInstance): { readonly draining: boolean } {
  const drain = { draining: false }
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  app.addHook('preClose', (done) => {
    drain.draining = true
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    done()
  })
  return drain
}
