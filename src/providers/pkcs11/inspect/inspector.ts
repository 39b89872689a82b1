import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Tell } from '../../../core/inspection/doctor-report.ts'
import { InspectionError } from './inspection-error.ts'
import type { InspectionFailure, InspectionJob, InspectionJobs, InspectionMessage } from './jobs.ts'

/** A process may take this long to begin; a busy machine loads programs slowly. Milliseconds. */
const START_TIMEOUT_MS = 30_000

export interface InspectionSettings {
  /** Variables that the library reads, besides those of this process. */
  readonly environment: Readonly<Record<string, string>>
  /** How long one call into the library may take. */
  readonly callTimeoutMs: number
  /** Bytes of UTF-8, for a job that logs in; the caller zeroes them. */
  readonly pin?: Buffer
  /** Told of each check that the process tells, also where the job comes to nothing later. */
  readonly onCheck?: Tell
}

/**
 * Runs a job in a process of its own, which is killed when a call into the library does not return.
 *
 * @throws {@link InspectionError}
 */
export async function inspect<Job extends InspectionJob>(
  job: Job,
  request: InspectionJobs[Job]['request'],
  settings: InspectionSettings,
): Promise<InspectionJobs[Job]['result']> {
  const file = import.meta.url.endsWith('.ts') ? './child.ts' : './child.js'
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], {
    env: { ...process.env, ...settings.environment },
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
  })
  try {
    const ended = endOf(child, settings)
    const input = Buffer.concat([
      Buffer.from(`${JSON.stringify({ job, request })}\n`, 'utf8'),
      settings.pin ?? Buffer.alloc(0),
    ])
    // A process that is gone already has told why by its end.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input, () => input.fill(0))
    return (await ended) as InspectionJobs[Job]['result']
  } finally {
    child.kill('SIGKILL')
  }
}

/** The result that the process sends; every other end of it is an {@link InspectionError}. */
async function endOf(child: ChildProcess, { callTimeoutMs, onCheck }: InspectionSettings): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  const fail = (failure: InspectionFailure) => reject(new InspectionError(failure))
  let call = 'start'
  let timer = setTimeout(() => fail({ kind: 'hang', call, afterMs: START_TIMEOUT_MS }), START_TIMEOUT_MS)
  const lines = createInterface({ input: child.stdio[3] as Readable })
  lines.on('line', (line) => {
    const message = JSON.parse(line) as InspectionMessage
    if (message.kind === 'done') return resolve(message.result)
    if (message.kind === 'failed') return fail(message.failure)
    if (message.kind === 'check') return onCheck?.(message.check)
    call = message.name
    clearTimeout(timer)
    timer = setTimeout(() => fail({ kind: 'hang', call, afterMs: callTimeoutMs }), callTimeoutMs)
  })
  child.once('error', (error) => fail({ kind: 'crash', call, how: error.message }))
  // After its last line was read: a process may end before its messages arrive.
  child.once('close', (code, signal) => fail({ kind: 'crash', call, how: signal ?? `exit code ${code}` }))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    lines.close()
  }
}
