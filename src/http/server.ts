import { randomUUID } from 'node:crypto'
import type { RequestListener, Server, ServerOptions } from 'node:http'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Clock } from '../lib/clock.ts'
import { answerClientError } from './client-error.ts'
import { limitPipelining, watchDrain } from './connections.ts'
import { addFacadeRoute } from './dispatch.ts'
import { describeError } from './error-description.ts'
import type { Facade } from './facade.ts'
import { checkReady, type HealthChecks } from './health.ts'
import { Kept } from './kept.ts'
import type { ServerLimits } from './limits.ts'
import { HttpMetrics } from './metrics.ts'

/** What the server stands on; the composition root makes each. */
export interface ServerDeps {
  /** In the order in which they are asked; the last takes what none claims. At least one. */
  readonly facades: readonly Facade[]
  readonly logger: Logger
  readonly clock: Clock
  readonly limits: ServerLimits
  readonly health: HealthChecks
  /** Fresh; `/metrics` shows all that is in it, other layers' metrics included. */
  readonly metricsRegistry: Registry
  /** Makes the server that requests come to, where it is not to listen itself. */
  readonly createServer?: (options: ServerOptions, listener: RequestListener) => Server
  /** Completes what `/metrics` shows: `own` is the text of `metricsRegistry`. */
  readonly exposition?: (own: string) => Promise<string>
}

/** How often Node looks for connections past their time limits. Milliseconds; its default is 30,000. */
const TIMEOUT_CHECK_INTERVAL_MS = 2_000

/**
 * The HTTP server, not listening yet: façades on `/`, and `/healthz`, `/readyz` and `/metrics` for the operator.
 *
 * `close()` drains: it stops accepting, closes idle connections at once and resolves when the requests under way are
 * answered; their answers, and those to requests that still arrive on open connections, say `Connection: close`.
 */
export function buildServer(deps: ServerDeps): FastifyInstance {
  const metrics = new HttpMetrics(deps.metricsRegistry)
  const app = newFastify(deps)
  app.removeAllContentTypeParsers()
  // Every façade checks a signature over the bytes themselves, so no type is parsed here.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  const drain = watchDrain(app)
  limitPipelining(app, deps.logger)
  addFacadeRoute(app, { facades: deps.facades, logger: deps.logger, metrics, drain })
  addOperatorRoutes(app, deps, metrics)
  answerTheRest(app, deps)
  app.server.maxConnections = deps.limits.connectionsMax
  return app
}

function newFastify({ limits, logger, createServer }: ServerDeps): FastifyInstance {
  const http = {
    maxHeaderSize: limits.headerBytesMax,
    // Node refuses a time for the head that is longer than the one for the whole request.
    headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
    connectionsCheckingInterval: TIMEOUT_CHECK_INTERVAL_MS,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
  }
  // Nothing moves on a connection while the token works, so both times are in it.
  const connectionTimeout = limits.requestTimeoutMs + limits.answerTimeoutMs
  const serverFactory =
    createServer &&
    ((listener: RequestListener) => createServer(http, listener).setTimeout(connectionTimeout))
  return fastify({
    ...(serverFactory && { serverFactory }),
    logger: false,
    genReqId: () => randomUUID(),
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { querystringParser: () => ({}) },
    clientErrorHandler: (error, socket) => answerClientError(logger, error, socket),
    frameworkErrors: (_error, _request, reply) => {
      sendJson(reply, 400, { message: 'The request target is malformed.' })
    },
    http,
  })
}

/** Health and metrics: open to whoever reaches the port, so they cost little and tell no secret. */
function addOperatorRoutes(app: FastifyInstance, deps: ServerDeps, metrics: HttpMetrics): void {
  const onError = (error: unknown) =>
    deps.logger.error({ error: describeError(error, { stack: true }) }, 'readiness check failed')
  const ready = new Kept(() => checkReady(deps.health, onError), deps.clock)
  const whole = deps.exposition ?? ((own: string) => Promise.resolve(own))
  const exposition = new Kept(
    async () => Buffer.from(await whole(await metrics.render()), 'utf8'),
    deps.clock,
  )
  app.get('/healthz', (_request, reply) => sendJson(reply, 200, { status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const report = await ready.get()
    return sendJson(reply, report.ready ? 200 : 503, report)
  })
  app.get('/metrics', async (_request, reply) => {
    const text = await exposition.get()
    return reply.header('content-type', metrics.contentType).send(text)
  })
}

/** Methods per path, for the answer to a path that exists under another method. */
function answerTheRest(app: FastifyInstance, deps: ServerDeps): void {
  const allowed: Readonly<Record<string, string>> = {
    '/': [...new Set(deps.facades.flatMap((facade) => facade.methods))].join(', '),
    '/healthz': 'GET',
    '/readyz': 'GET',
    '/metrics': 'GET',
  }
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request)
    const allow = Object.hasOwn(allowed, path) ? allowed[path] : undefined
    if (allow === undefined) return sendJson(reply, 404, { message: 'There is nothing at this path.' })
    return sendJson(reply.header('allow', allow), 405, { message: `This path takes ${allow} only.` })
  })
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error)
    if (status >= 500) deps.logger.error({ error: describeError(error, { stack: true }) }, 'request failed')
    return sendJson(reply, status, {
      message: status >= 500 ? 'internal error' : 'The request is malformed.',
    })
  })
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/'
}

/** The status that Fastify gives its own errors; 500 for anything else. */
function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' && status >= 400 && status <= 599 ? status : 500
}

function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).header('content-type', 'application/json').send(JSON.stringify(body))
}
