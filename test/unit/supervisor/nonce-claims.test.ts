import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { FromWorker } from '../../../src/supervisor/messages.ts'
import { NonceClaims } from '../../../src/supervisor/nonce-claims.ts'

let sent: FromWorker[]
let nonces: NonceClaims
beforeEach(() => {
  sent = []
  nonces = new NonceClaims((message) => sent.push(message))
})
afterEach(() => vi.useRealTimers())

const turn = () => new Promise((resolve) => setImmediate(resolve))

it('sends what is claimed in one turn as one message, and gives each its own answer', async () => {
  const first = [nonces.take('a', 'one', 1), nonces.take('b', 'two', 2)]
  await turn()
  const second = nonces.take('a', 'three', 3)
  await turn()
  const claims = [
    { accessKeyId: 'a', nonce: 'one', validUntil: 1 },
    { accessKeyId: 'b', nonce: 'two', validUntil: 2 },
  ]
  expect(sent).toStrictEqual([
    { kind: 'takeNonces', id: 1, claims },
    { kind: 'takeNonces', id: 2, claims: [{ accessKeyId: 'a', nonce: 'three', validUntil: 3 }] },
  ])
  nonces.answered(2, [true])
  nonces.answered(1, [true, false])
  expect(await second).toBe(true)
  expect(await Promise.all(first)).toStrictEqual([true, false])
})

it('knows nothing of a nonce when no answer comes within two seconds, and takes none that is late', async () => {
  vi.useFakeTimers()
  const fresh = nonces.take('a', 'one', 1)
  await vi.advanceTimersByTimeAsync(2_100)
  nonces.answered(1, [true])
  expect(await fresh).toBeUndefined()
})
