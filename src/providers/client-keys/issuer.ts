import { Worker } from 'node:worker_threads'
import { KmsError } from '../../core/errors.ts'
import type { ClientKeyIssuer, IssuedClientKey, IssueRequest } from '../../core/ports/client-key-issuer.ts'

/** Making a key takes a tenth of a second on a machine that is idle. */
const ISSUE_TIMEOUT_MS = 15_000
/** A thread needs a fifth of it. */
const HEAP_MB_MAX = 64

/** What a thread is started with. The password's memory is the thread's own, which zeroes it. */
export interface ThreadRequest extends Omit<IssueRequest, 'password'> {
  readonly password: Uint8Array<ArrayBuffer>
}

/** What a thread posts, once. */
export interface ThreadResult {
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly pkcs12: Uint8Array<ArrayBuffer>
}

interface IssuerSettings {
  /** What a thread runs, other than in tests. */
  readonly thread?: URL
  /** Milliseconds. */
  readonly timeoutMs?: number
}

/**
 * Makes each client key in a thread of its own, which ends with it: the libraries that write PKCS#12 compute in JavaScript, for as long
 * as a hundred other requests take. How many there are at a time is the caller's to bound.
 */
export class Pkcs12Issuer implements ClientKeyIssuer {
  readonly #thread: URL
  readonly #timeoutMs: number
  readonly #threads = new Set<Worker>()

  constructor({ thread = threadFile(), timeoutMs = ISSUE_TIMEOUT_MS }: IssuerSettings = {}) {
    this.#thread = thread
    this.#timeoutMs = timeoutMs
  }

  /** @throws Error when the thread fails: a fault of this program. */
  async issue({ password, ...request }: IssueRequest): Promise<IssuedClientKey> {
    const workerData: ThreadRequest = { ...request, password: new TextEncoder().encode(password) }
    const thread = new Worker(this.#thread, {
      name: 'client key',
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
      workerData,
      transferList: [workerData.password.buffer],
    })
    this.#threads.add(thread)
    try {
      const { publicKey, pkcs12 } = await resultOf(thread, this.#timeoutMs)
      return { publicKey: Buffer.from(publicKey.buffer), pkcs12: Buffer.from(pkcs12.buffer) }
    } finally {
      this.#threads.delete(thread)
      await thread.terminate()
    }
  }

  /** Ends what is being made, for a process that ends: nobody waits for it any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.terminate()))
  }
}

function resultOf(thread: Worker, timeoutMs: number): Promise<ThreadResult> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const message = 'Making the client key took too long.'
      reject(new KmsError('ISSUER_BUSY', message, {}))
    }, timeoutMs)
    const fail = (cause?: unknown) => {
      clearTimeout(timer)
      reject(new Error('The thread that makes client keys failed.', { cause }))
    }
    thread.once('message', (result: ThreadResult) => {
      clearTimeout(timer)
      resolve(result)
    })
    thread.once('error', fail)
    // Does nothing after the others.
    thread.once('exit', (code) => fail(new Error(`It ended with exit code ${code}.`)))
  })
}

function threadFile(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url)
}
