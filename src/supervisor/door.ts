import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { FedServer } from '../lib/fed-server.ts'

/** How long a connection waits for a worker before it is told that there is none. A worker starts within a second or two. */
const WAIT_MS_MAX = 5_000
const WAIT_CHECK_MS = 250
/** Of what is told to those who waited in vain. */
const TELL_TIMEOUT_MS = 5_000

/** A worker process, as the door sees it. */
export interface Taker {
  /** Hands `socket` over. It stays open here until {@link Door.taken}. */
  hand(socket: Socket): void
}

export interface DoorSettings {
  readonly host: string
  readonly port: number
  /** Connections that may wait for a worker. */
  readonly waitingMax: number
  /** What those are told who waited in vain; JSON. */
  readonly explain: () => string
}

/**
 * The listening socket and the connections that no worker has taken yet. It stays open while workers come and go: who
 * connects meanwhile waits, and is served by the next one. Nothing is read from a connection here, so one whose worker
 * died before it took it goes to another.
 */
export class Door {
  readonly #settings: DoorSettings
  readonly #servers: Server[] = []
  /** In the order in which they are next. */
  #takers: Taker[] = []
  readonly #handing = new Map<Taker, Socket>()
  #waiting: { readonly socket: Socket; readonly since: number }[] = []
  #refusals: FedServer | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(settings: DoorSettings) {
    this.#settings = settings
  }

  /** @returns Where it listens. Throws the system's error where it cannot. */
  async open(): Promise<AddressInfo> {
    const { host, port } = this.#settings
    const address = await this.#listen(host, port)
    // The name stands for two addresses on most machines; who has one of them alone is served by it.
    if (host === 'localhost') {
      const found = await lookup(host, { all: true })
      for (const other of found)
        if (other.address !== address.address)
          await this.#listen(other.address, address.port).catch(() => undefined)
    }
    this.#refusals = refusals(this.#settings, address)
    this.#timer = setInterval(() => this.#refuseLate(), WAIT_CHECK_MS)
    return address
  }

  async #listen(host: string, port: number): Promise<AddressInfo> {
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#arrive(socket))
    server.listen({ host, port })
    await once(server, 'listening')
    this.#servers.push(server)
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('The listener has no address.')
    return address
  }

  /** From now on `taker` is handed connections. */
  add(taker: Taker): void {
    this.#takers.push(taker)
    this.#handOut()
  }

  /** `taker` took the connection that it was handed last. */
  taken(taker: Taker): void {
    this.#handing.get(taker)?.destroy()
    this.#handing.delete(taker)
    this.#handOut()
  }

  /** `taker` is handed nothing more. */
  remove(taker: Taker): void {
    this.#takers = this.#takers.filter((other) => other !== taker)
  }

  /** `taker` is dead: what it did not take goes to another. */
  lost(taker: Taker): void {
    this.remove(taker)
    const socket = this.#handing.get(taker)
    if (!socket) return
    this.#handing.delete(taker)
    this.#waiting.unshift({ socket, since: performance.now() })
    this.#handOut()
  }

  /** Accepts nothing more; who still waits is closed. */
  close(): void {
    clearInterval(this.#timer)
    for (const server of this.#servers) server.close()
    this.#takers = []
    for (const { socket } of this.#waiting.splice(0)) socket.destroy()
    this.#refusals?.close()
    this.#refusals?.closeAllConnections()
  }

  #arrive(socket: Socket): void {
    // A client that goes away while it waits.
    socket.on('error', () => socket.destroy())
    if (this.#waiting.length >= this.#settings.waitingMax) {
      socket.destroy()
      return
    }
    this.#waiting.push({ socket, since: performance.now() })
    this.#handOut()
  }

  /** In turn, one connection at a time to each. */
  #handOut(): void {
    while (this.#waiting.length > 0) {
      const taker = this.#takers.find((candidate) => !this.#handing.has(candidate))
      const first = taker && this.#waiting.shift()
      if (!first) return
      this.#takers = [...this.#takers.filter((other) => other !== taker), taker]
      this.#handing.set(taker, first.socket)
      taker.hand(first.socket)
    }
  }

  #refuseLate(): void {
    const before = performance.now() - WAIT_MS_MAX
    while ((this.#waiting[0]?.since ?? before) < before) {
      const late = this.#waiting.shift()
      if (late) this.#refusals?.take(late.socket)
    }
  }
}

/** Tells whoever waited in vain, whatever they ask, that nobody serves. */
function refusals({ explain, waitingMax }: DoorSettings, address: AddressInfo): FedServer {
  const timeouts = { headersTimeout: TELL_TIMEOUT_MS, requestTimeout: TELL_TIMEOUT_MS }
  const server = new FedServer(
    { ...timeouts, keepAliveTimeout: 1, connectionsCheckingInterval: TELL_TIMEOUT_MS / 2 },
    (request, response) => {
      request.resume()
      const headers = { 'content-type': 'application/json', connection: 'close', 'retry-after': '1' }
      response.writeHead(503, headers).end(explain())
    },
    address,
  )
  server.setTimeout(TELL_TIMEOUT_MS)
  server.maxConnections = waitingMax
  return server.listen()
}
