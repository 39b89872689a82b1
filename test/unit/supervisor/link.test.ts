import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SupervisorLink } from '../../../src/supervisor/link.ts'
import type { StartOrder, ToWorker } from '../../../src/supervisor/messages.ts'

const ORDER: StartOrder<undefined> = {
  kind: 'start',
  worker: 1,
  settings: undefined,
  address: { address: '127.0.0.1', family: 'IPv4', port: 1 },
  lockedAt: 1,
  digestKey: new Uint8Array(32),
  view: { configured: 1, serving: 1, restarts: 0 },
}

let hear: (message: ToWorker<undefined>) => void
beforeEach(() => {
  const listeners: ((message: unknown) => void)[] = []
  const listen = (name: string | symbol, listener: (message: unknown) => void) => {
    if (name === 'message') listeners.push(listener)
    return process
  }
  // The channel of this very process is the test runner's.
  vi.spyOn(process, 'on').mockImplementation(listen)
  vi.spyOn(process, 'once').mockImplementation(listen)
  vi.spyOn(process, 'connected', 'get').mockReturnValue(true)
  vi.spyOn(process, 'send').mockReturnValue(true)
  hear = (message) => {
    for (const listener of listeners) listener(message)
  }
})
afterEach(() => vi.restoreAllMocks())

async function join() {
  const joined = SupervisorLink.join<undefined>(() => undefined)
  hear(ORDER)
  return await joined
}

it('ends the wait for a turn to log in when the worker is to stop, and has none after', async () => {
  const link = await join()
  const waits = [link.mayLogin('one', 'a'), link.mayLogin('two', 'b')]
  const settled = Promise.allSettled(waits)
  hear({ kind: 'stop' })
  await link.stopped
  const late = await Promise.allSettled([link.mayLogin('one', 'a')])
  const reasons = [...(await settled), ...late].map((end) => end.status === 'rejected' && String(end.reason))
  expect(reasons).toStrictEqual(Array(3).fill('Error: The service is shutting down.'))
})

it('leaves nothing behind of a login that came to its turn', async () => {
  const link = await join()
  const then = vi.spyOn(link.stopped, 'then')
  for (let i = 0; i < 3; i++) {
    const wait = link.mayLogin('one', 'a')
    hear({ kind: 'mayLogin', token: 'one', yes: i < 2 })
    expect(await wait).toBe(i < 2)
  }
  // A reaction to what lasts as long as the process would be kept as long.
  expect(then).not.toHaveBeenCalled()
})
