import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { invariant } from '../lib/invariant.ts'
import {
  type Facade,
  type FacadeResponse,
  newRequestRecord,
  type RequestRecord,
  type TransportFault,
} from './facade.ts'
import type { HttpMetrics } from './metrics.ts'
import { logRequest } from './request-log.ts'

export interface DispatchDeps {
  readonly facades: readonly Facade[]
  readonly logger: Logger
  readonly metrics: HttpMetrics
  readonly drain: { readonly draining: boolean }
}

/** One request on its way through a façade. */
interface Exchange {
  readonly facade: Facade
  readonly record: RequestRecord
  /** `performance.now()` when its headers had come. */
  readonly startedAt: number
}

const NO_BODY = Buffer.alloc(0)
const EXCHANGE = 'p11kmsExchange'

declare module 'fastify' {
  interface FastifyRequest {
    [EXCHANGE]: Exchange | undefined
  }
}

/** Puts the façades on `/`: picks one per request, then answers, counts and logs each request exactly once. */
export function addFacadeRoute(app: FastifyInstance, deps: DispatchDeps): void {
  const fallback = deps.facades.at(-1)
  invariant(fallback, 'a server has at least one façade')
  const pick = (request: FastifyRequest): Facade => {
    const { method, url = '/', headers } = request.raw
    return (
      deps.facades.find(
        (facade) =>
          facade.methods.includes(method ?? '') && facade.claims({ method: method ?? '', url, headers }),
      ) ?? fallback
    )
  }
  app.decorateRequest(EXCHANGE, undefined)
  app.route({
    method: [...new Set(deps.facades.flatMap((facade) => facade.methods))],
    url: '/',
    onRequest: (request, _reply, done) => {
      const startedAt = performance.now()
      request[EXCHANGE] = { facade: pick(request), record: newRequestRecord(request.id), startedAt }
      done()
    },
    handler: async (request, reply) => {
      const exchange = exchangeOf(request)
      const body = Buffer.isBuffer(request.body) ? request.body : NO_BODY
      const response = await handle(exchange, request, body)
      finish(deps, exchange, request, reply, response)
    },
    errorHandler: (error, request, reply) => {
      const exchange = exchangeOf(request)
      finish(deps, exchange, request, reply, fail(exchange, transportFault(error), error))
    },
  })
}

async function handle(exchange: Exchange, request: FastifyRequest, body: Buffer): Promise<FacadeResponse> {
  const { method = 'GET', url = '/', headers, rawHeaders } = request.raw
  const { facade, record, startedAt } = exchange
  if (!facade.methods.includes(method)) return refuseMethod(exchange)
  try {
    return await facade.handle({ method, url, headers, rawHeaders, body, startedAt, record })
  } catch (error) {
    return fail(exchange, 'INTERNAL', error)
  } finally {
    body.fill(0)
  }
}

/** Another façade takes the method, and does not claim the request. */
function refuseMethod({ facade, record }: Exchange): FacadeResponse {
  record.outcome = 'MethodNotAllowed'
  const allow = facade.methods.join(', ')
  const body = JSON.stringify({ message: `This request may come by ${allow} only.` })
  return { status: 405, headers: { 'content-type': 'application/json', allow }, body }
}

function exchangeOf(request: FastifyRequest): Exchange {
  const exchange = request[EXCHANGE]
  invariant(exchange, 'a request on / has passed the onRequest hook')
  return exchange
}

/** Fastify names its errors; a status from 500 on, or none, is ours. */
function transportFault(error: {
  readonly statusCode?: number | undefined
  readonly code?: string
}): TransportFault {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'BODY_TOO_LARGE'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'BODY_MALFORMED' : 'INTERNAL'
}

function fail({ facade, record }: Exchange, fault: TransportFault, error: unknown): FacadeResponse {
  record.error = error
  return facade.answerFault(fault, record)
}

function finish(
  deps: DispatchDeps,
  { facade, record, startedAt }: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  response: FacadeResponse,
): void {
  const totalMs = performance.now() - startedAt
  deps.metrics.observe(facade.name, record, totalMs)
  if (record.internal) deps.metrics.countInternalError()
  const { status } = response
  logRequest(deps.logger, facade.name, record, {
    status,
    totalMs,
    remoteAddress: request.raw.socket.remoteAddress,
  })
  const close = deps.drain.draining || reply.getHeader('connection') === 'close'
  write(reply, response, close)
}

/** Past Fastify's own reply, which adds a charset to every JSON type and knows content types better than protocols do. */
function write(reply: FastifyReply, { status, headers, body }: FacadeResponse, close: boolean): void {
  reply.hijack()
  const length = { 'content-length': Buffer.byteLength(body) }
  reply.raw.writeHead(
    status,
    close ? { ...headers, ...length, connection: 'close' } : { ...headers, ...length },
  )
  reply.raw.end(body)
}
