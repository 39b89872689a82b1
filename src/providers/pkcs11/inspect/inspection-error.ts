import type { ProblemReport } from '../../../core/inspection/token-report.ts'
import { describeFault, hintFields } from '../errors.ts'
import type { InspectionFailure } from './jobs.ts'

/** An inspection that came to nothing, told to operators: what happened and what to do. */
export class InspectionError extends Error {
  override readonly name = 'InspectionError'
  readonly failure: InspectionFailure
  readonly problem: ProblemReport

  constructor(failure: InspectionFailure) {
    const problem = problemOf(failure)
    super(problem.reason)
    this.failure = failure
    this.problem = problem
  }
}

type Kind = InspectionFailure['kind']
type Told = { readonly [K in Kind]: (failure: Extract<InspectionFailure, { kind: K }>) => ProblemReport }

const TOLD: Told = {
  load: ({ message }) => ({
    reason: `The PKCS#11 library cannot be loaded: ${message}.`,
    next: 'Correct the path, or install the library of the HSM; ldd shows other libraries that it misses.',
  }),
  fault: ({ fault }) => {
    const { hint } = hintFields(fault)
    return { reason: describeFault(fault), ...(hint && { next: hint }) }
  },
  hang: ({ call, afterMs }) => ({
    reason: `The library hangs in ${call}: nothing came back in ${afterMs / 1000} s.`,
    next: 'Look whether the HSM and the daemon of its client answer; --timeout lets slow ones take longer.',
  }),
  crash: ({ call, how }) => ({
    reason: `The library crashed in ${call} (${how}).`,
    next: 'Ask the vendor of the library, and try its newest version.',
  }),
}

function problemOf(failure: InspectionFailure): ProblemReport {
  const tell = TOLD[failure.kind] as (failure: InspectionFailure) => ProblemReport
  return tell(failure)
}
