import { z } from 'zod'
import type { ClientAccess } from '../../../core/client-access.ts'
import type { Kms } from '../../../core/kms.ts'
import type { CallContext } from '../../../core/kms-context.ts'
import { invariant } from '../../../lib/invariant.ts'
import { invalidParameter, missing, type OpenApiFault, unsupported } from './fault.ts'
import { flag } from './members.ts'
import type { Parameters } from './parameters.ts'

/** What names of one request are made of. */
export interface AcsScope {
  readonly region: string
  /** Alibaba Cloud account id. */
  readonly uid: string
}

/** What a handler works with. */
export interface OpenApiCall {
  readonly kms: Kms
  readonly clients: ClientAccess
  readonly context: CallContext
  readonly scope: AcsScope
  /** Names of the regions that are served. */
  readonly regions: readonly string[]
  /** Set by the row when the request is a dry run, whose faults have codes of their own. */
  readonly dryRun: { asked?: true }
  /** Everything that was sent, for operations that take lists. */
  readonly parameters: Parameters
}

/** One operation of the API, as the router and the tests see it. */
export interface OpenApiOperation {
  /**
   * Checks the parameters, carries out, and gives the members of the answer; `RequestId` is added by the façade.
   *
   * @throws {@link OpenApiFault} or {@link KmsError}
   */
  run(call: OpenApiCall): Promise<object>
}

const DRY_RUN = z.object({ DryRun: flag.optional() })

/** Makes a row of the operation table. Parameters that no row names are ignored, as the real service does; all are signed. */
export function openApiOperation<Body>(row: {
  readonly parameters: z.ZodType<Body>
  /** Whether it takes `DryRun`. */
  readonly dryRun?: true
  /** Parameters that the real service honours and this one does not: refused where they are there, never dropped silently. */
  readonly refuses?: readonly string[]
  /** Parameters whose empty value says something. */
  readonly emptyMeans?: readonly string[]
  readonly handle: (call: OpenApiCall, body: Body) => Promise<object>
}): OpenApiOperation {
  const { parameters: schema, dryRun = false, refuses = [], emptyMeans = [], handle } = row
  return {
    // Async, so that whatever a handler throws at once rejects as well.
    async run(call) {
      const given = [...call.parameters].filter(([name, value]) => value !== '' || emptyMeans.includes(name))
      const members = Object.fromEntries(given)
      const refused = refuses.find((name) => Object.hasOwn(members, name))
      const tried = dryRun && requireValid(DRY_RUN, members).DryRun === true
      if (tried) call.dryRun.asked = true
      const body = requireValid(schema, members)
      if (refused !== undefined) throw unsupported(`The parameter "${refused}".`)
      const answer = await handle(
        tried ? { ...call, context: { ...call.context, dryRun: true } } : call,
        body,
      )
      invariant(!tried, 'an operation that takes a dry run ends it')
      return answer
    },
  }
}

/** The first thing that is wrong is told, by the name of its parameter; values are not repeated. */
function requireValid<Body>(schema: z.ZodType<Body>, given: Readonly<Record<string, string>>): Body {
  const result = schema.safeParse(given)
  if (result.success) return result.data
  throw faultOf(result.error.issues[0], given)
}

function faultOf(issue: z.core.$ZodIssue | undefined, given: Readonly<Record<string, string>>): OpenApiFault {
  const name = String(issue?.path[0] ?? '')
  if (!Object.hasOwn(given, name)) return missing(name)
  const unsupportedValue = issue?.code === 'custom' && issue.params?.['unsupported']
  if (typeof unsupportedValue === 'string') return unsupported(unsupportedValue)
  return invalidParameter(name)
}
