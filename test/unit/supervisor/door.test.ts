import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Door } from '../../../src/supervisor/door.ts'
import { eventually } from '../../support/softhsm.ts'

const doors: Door[] = []
afterEach(() => {
  for (const door of doors.splice(0)) door.close()
})

async function openDoor(waitingMax = 100): Promise<{ readonly door: Door; readonly address: AddressInfo }> {
  const explain = () => '{"ready":false}'
  const door = new Door({ host: '127.0.0.1', port: 0, waitingMax, explain })
  doors.push(door)
  return { door, address: await door.open() }
}

/** A worker of this process that takes connections when told to. */
class Taker {
  readonly handed: Socket[] = []
  hand(socket: Socket): void {
    this.handed.push(socket)
  }
}

const dial = async ({ port }: AddressInfo) => {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

describe('Door', () => {
  it('hands connections to its takers in turn, one at a time to each', async () => {
    const { door, address } = await openDoor()
    const [a, b] = [new Taker(), new Taker()]
    door.add(a)
    door.add(b)
    for (let i = 0; i < 4; i++) await dial(address)
    await eventually(() => a.handed.length === 1 && b.handed.length === 1)
    door.taken(a)
    expect([a.handed.length, b.handed.length]).toStrictEqual([2, 1])
    door.taken(b)
    expect([a.handed.length, b.handed.length]).toStrictEqual([2, 2])
    expect(new Set([...a.handed, ...b.handed]).size).toBe(4)
  })

  it('keeps who comes while there is no taker, and gives what one did not take to the next', async () => {
    const { door, address } = await openDoor()
    const client = await dial(address)
    const dead = new Taker()
    door.add(dead)
    await eventually(() => dead.handed.length === 1)
    door.lost(dead)
    const next = new Taker()
    door.add(next)
    expect(next.handed).toStrictEqual(dead.handed)
    const answered = once(client, 'data')
    next.handed[0]?.end('hello')
    expect(String((await answered)[0])).toBe('hello')
  })

  it('closes who comes when too many wait, and who waits when it closes', async () => {
    const { door, address } = await openDoor(1)
    const first = await dial(address)
    const second = await dial(address)
    await once(second, 'close')
    door.close()
    await once(first, 'close')
  })

  it('tells those who waited in vain that nobody serves', async () => {
    const { address } = await openDoor()
    const response = await fetch(`http://127.0.0.1:${address.port}/readyz`)
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toStrictEqual([
      503,
      '1',
      '{"ready":false}',
    ])
  }, 15_000)

  it('tells that an address is taken', async () => {
    const { address } = await openDoor()
    const other = new Door({ host: '127.0.0.1', port: address.port, waitingMax: 1, explain: () => '' })
    await expect(other.open()).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  it('is reached by both addresses that localhost stands for', async () => {
    const door = new Door({ host: 'localhost', port: 0, waitingMax: 9, explain: () => '' })
    doors.push(door)
    const { port } = await door.open()
    const taker = new Taker()
    door.add(taker)
    for (const host of ['127.0.0.1', '::1']) {
      const socket = connect(port, host)
      const [how] = await Promise.race([
        once(socket, 'connect').then(() => ['connect']),
        once(socket, 'error'),
      ])
      // A machine without IPv6 has no second address.
      if (host === '::1' && how instanceof Error)
        expect(how).toMatchObject({ code: /EADDRNOTAVAIL|ECONNREFUSED/ })
      else expect(how).toBe('connect')
    }
  })
})
