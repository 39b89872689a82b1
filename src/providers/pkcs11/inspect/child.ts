/**
 * A process of its own that makes the Cryptoki calls of one inspection, so that a library which hangs or crashes takes
 * nothing else along, and so that each configured token has its own environment. Standard input: the job as one line
 * of JSON, then the PIN. Descriptor 3: {@link InspectionMessage}s, one per line.
 */
import { readSync, writeSync } from 'node:fs'
import type { Tell } from '../../../core/inspection/doctor-report.ts'
import type { LibraryReport } from '../../../core/inspection/token-report.ts'
import { toFault } from '../errors.ts'
import { findSlot } from '../module.ts'
import { examineToken } from './examine.ts'
import type { InspectionFailure, InspectionJob, InspectionJobs, InspectionMessage } from './jobs.ts'
import { LoadError, withLibrary } from './library.ts'
import { reportMechanisms } from './mechanism-report.ts'
import { reportSlot, reportSlots } from './slot-report.ts'
import { since } from './timing.ts'
import { walkToken } from './walk.ts'

const STDIN_FD = 0
const MESSAGES_FD = 3
/** The job and the PIN; paths and criteria are short. Bytes. */
const INPUT_BYTES_MAX = 64 * 1024

type Announce = (call: string) => void
type Runs = {
  readonly [Job in InspectionJob]: (
    request: InspectionJobs[Job]['request'],
    announce: Announce,
    pin: Buffer,
  ) => InspectionJobs[Job]['result']
}

const RUNS: Runs = {
  listSlots: (request, announce) =>
    withLibrary(request, announce, (library) => ({ library: library.report, slots: reportSlots(library) })),
  describeToken: (request, announce) =>
    withLibrary(request, announce, (library) => {
      const { slot } = findSlot(library.p11, request.criteria)
      return {
        library: library.report,
        slot: reportSlot(library, slot),
        mechanisms: reportMechanisms(library, slot),
      }
    }),
  walkToken: (request, announce, pin) =>
    withLibrary(request, announce, (library) => walkToken(library, request, pin)),
  examineToken: (request, announce, pin) => {
    const tell: Tell = (check) => send({ kind: 'check', check })
    const startedAt = performance.now()
    return withLibrary(request, announce, (library) => {
      tell({ state: 'ok', code: 'LIBRARY', message: describeLibrary(library.report), ms: since(startedAt) })
      return examineToken(library, request, tell, pin)
    })
  },
}

function describeLibrary({ description, manufacturer, version, cryptokiVersion }: LibraryReport): string {
  return `loads: ${[description, manufacturer].filter(Boolean).join(', ')}, version ${version}, Cryptoki ${cryptokiVersion}`
}

function send(message: InspectionMessage): void {
  let rest = Buffer.from(`${JSON.stringify(message)}\n`, 'utf8')
  while (rest.length > 0) rest = rest.subarray(writeSync(MESSAGES_FD, rest))
}

function readInput(): Buffer {
  const input = Buffer.alloc(INPUT_BYTES_MAX)
  let length = 0
  while (length < input.length) {
    const read = readSync(STDIN_FD, input, length, input.length - length, null)
    if (read === 0) break
    length += read
  }
  return input.subarray(0, length)
}

function failureOf(error: unknown): InspectionFailure {
  if (error instanceof LoadError) return { kind: 'load', message: error.message }
  return { kind: 'fault', fault: toFault(error) }
}

const input = readInput()
const end = input.indexOf(0x0a)
const { job, request } = JSON.parse(input.toString('utf8', 0, end)) as {
  readonly job: InspectionJob
  readonly request: never
}
try {
  const announce: Announce = (name) => send({ kind: 'call', name })
  send({ kind: 'done', result: RUNS[job](request, announce, input.subarray(end + 1)) })
} catch (error) {
  send({ kind: 'failed', failure: failureOf(error) })
} finally {
  input.fill(0)
}
