import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../../lib/invariant.ts'
import { TokenRefusal, toFault } from '../errors.ts'
import { LaneToken } from '../lane-token.ts'
import { PROCEDURES } from '../procedures/table.ts'
import { decodeFrames, encodeFrames, type Frame, jsonPart, OPERATIONS, packNotes, REPLY } from './messages.ts'

/**
 * The token side of a lane: takes a message of requests, runs them one after another, answers in as few messages as
 * the token's speed allows.
 */

/** A finished reply waits at most this long for the ones behind it. */
const REPLY_HOLD_MS = 1

invariant(parentPort, 'a lane runs in a worker thread')
const port = parentPort
const givenUp = workerData as Int32Array
const token = new LaneToken()

port.on('message', (message: Uint8Array<ArrayBuffer>) => {
  let replies: Frame[] = []
  let heldSince = 0
  for (const request of decodeFrames(message)) {
    if (isGivenUp()) break
    const startedAt = performance.now()
    const served = serve(request, startedAt)
    replies.push(served)
    const now = startedAt + served.time
    if (heldSince === 0) heldSince = now
    if (now - heldSince >= REPLY_HOLD_MS || served.time >= REPLY_HOLD_MS) {
      post(replies)
      replies = []
      heldSince = 0
    }
  }
  if (replies.length > 0) post(replies)
  // Requests carry PINs and plaintexts.
  message.fill(0)
  if (isGivenUp()) leave()
})

// A message without replies says that the lane listens.
port.postMessage(encodeFrames([]))

function serve(request: Frame, startedAt: number): Frame {
  if (Date.now() > request.time) return { id: request.id, code: REPLY.expired, time: 0, number: 0, parts: [] }
  try {
    const parts = perform(request)
    return replyTo(request, REPLY.ok, startedAt, parts)
  } catch (error) {
    return replyTo(request, REPLY.fault, startedAt, [jsonPart(toFault(error))])
  }
}

function replyTo({ id }: Frame, code: number, startedAt: number, parts: readonly Buffer[]): Frame {
  return { id, code, time: performance.now() - startedAt, number: packNotes(token.takeNotes()), parts }
}

function perform(request: Frame): readonly Buffer[] {
  const operation = OPERATIONS[request.code]
  if (!operation)
    throw new TokenRefusal({ code: 'UNSUPPORTED', reason: 'The lane does not know this procedure.' })
  const { run, repeatable } = PROCEDURES[operation]
  return token.run(() => run(token, request.number, request.parts as readonly Buffer[]), repeatable)
}

/** Nobody waits any more: the main thread took this lane for lost while it was in the library. */
function isGivenUp(): boolean {
  return Atomics.load(givenUp, 0) !== 0
}

/** A session that stayed open would be one less of those that the token has. */
function leave(): void {
  token.detach()
  port.close()
}

function post(replies: readonly Frame[]): void {
  if (!isGivenUp()) {
    const packet = encodeFrames(replies)
    port.postMessage(packet, [packet.buffer])
  }
  // The packet is the copy that counts from here on; what the procedures made is zeroed.
  for (const reply of replies) for (const part of reply.parts) part.fill(0)
}
