/** What a thread of the issuer runs: it makes one client key from what it was started with, posts it and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../lib/invariant.ts'
import type { ThreadRequest, ThreadResult } from './issuer.ts'
import { makeClientKey } from './pkcs12.ts'

invariant(parentPort, 'client keys are made in a thread of their own')
const { password: bytes, ...request } = workerData as ThreadRequest
const password = new TextDecoder().decode(bytes)
bytes.fill(0)
const { publicKey, pkcs12 } = makeClientKey({ ...request, password })
// Copies, each of a memory of its own that can be handed over.
const result: ThreadResult = { publicKey: Uint8Array.from(publicKey), pkcs12: Uint8Array.from(pkcs12) }
pkcs12.fill(0)
parentPort.postMessage(result, [result.publicKey.buffer, result.pkcs12.buffer])
