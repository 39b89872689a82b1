import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { FedServer } from '../../../src/lib/fed-server.ts'
import { eventually } from '../../support/softhsm.ts'

const listeners: Server[] = []
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close()
})

/** A server that is fed what a listener of this process accepts, and answers when it is let. */
async function fed(options: { readonly headersTimeout?: number } = {}) {
  let server: FedServer | undefined
  const listener = createServer({ pauseOnConnect: true }, (socket) => server?.take(socket))
  listeners.push(listener)
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const address = listener.address() as AddressInfo
  const { promise: allowed, resolve: answerNow } = Promise.withResolvers<void>()
  const settings = { ...options, connectionsCheckingInterval: 50 }
  server = new FedServer(
    settings,
    (_request, response) => void allowed.then(() => response.end('ok')),
    address,
  )
  return { server, address, answerNow }
}

const dial = async ({ port }: AddressInfo) => {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

describe('FedServer', () => {
  it('finishes what is in flight before it says that it is closed, and takes nothing meanwhile', async () => {
    const { server, address, answerNow } = await fed()
    server.listen()
    const asked = once(server, 'request')
    const answer = fetch(`http://127.0.0.1:${address.port}/`)
    await asked
    let closed = false
    server.close(() => {
      closed = true
    })
    await once(await dial(address), 'close')
    await sleep(50)
    expect(closed).toBe(false)
    answerNow()
    expect(await (await answer).text()).toBe('ok')
    await eventually(() => {
      server.closeIdleConnections()
      return closed
    })
  })

  it('closes a connection whose headers do not come in time', async () => {
    const { server, address } = await fed({ headersTimeout: 100 })
    server.listen()
    const socket = await dial(address)
    socket.write('GET / HTTP/1.1\r\nhost:')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    await once(socket, 'close')
    expect(Buffer.concat(chunks).toString()).toContain('408')
  })

  it('closes what comes before it listens, and what comes beyond its bound', async () => {
    const { server, address } = await fed()
    await once(await dial(address), 'close')
    server.maxConnections = 1
    server.listen()
    const first = await dial(address)
    await once(await dial(address), 'close')
    first.destroy()
    await sleep(50)
    const third = await dial(address)
    await sleep(50)
    expect(third.closed).toBe(false)
    third.destroy()
  })

  it('says where its connections are accepted', async () => {
    const { server, address } = await fed()
    expect(server.address()).toStrictEqual(address)
  })
})
