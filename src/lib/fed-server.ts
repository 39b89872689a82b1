import { type RequestListener, Server, type ServerOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/**
 * An HTTP server whose connections somebody else accepts: `listen()` binds nothing, and {@link FedServer.take} serves a
 * connection as if it had come from a listening socket. `close()` drains as Node's own does.
 */
export class FedServer extends Server {
  readonly #address: AddressInfo
  readonly #sockets = new Set<Socket>()
  #open = false

  /** @param address - Where the connections are accepted. */
  constructor(options: ServerOptions, listener: RequestListener, address: AddressInfo) {
    super(options, listener)
    this.#address = address
  }

  /** Serves a connection; past `maxConnections`, or when not listening, it is closed. */
  take(socket: Socket): void {
    if (!this.#open || this.#sockets.size >= (this.maxConnections ?? Number.POSITIVE_INFINITY)) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#closeIfDrained()
    })
    this.emit('connection', socket)
    // One that was accepted in this process came paused.
    socket.resume()
  }

  /** Whatever the arguments say: what there is to listen on is given. */
  override listen(): this {
    this.#open = true
    // Node starts to watch over the times of requests when it hears this.
    process.nextTick(() => this.emit('listening'))
    return this
  }

  override address(): AddressInfo {
    return this.#address
  }

  override close(callback?: (error?: Error) => void): this {
    if (callback) this.once('close', callback)
    this.#open = false
    this.closeIdleConnections()
    this.#closeIfDrained()
    return this
  }

  #closeIfDrained(): void {
    if (!this.#open && this.#sockets.size === 0) super.close()
  }
}
