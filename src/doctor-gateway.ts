import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from './config/schema.ts'
import type { Check } from './core/inspection/doctor-report.ts'
import type { ReadyReport } from './http/health.ts'
import { errnoOf } from './lib/errno.ts'

const ANSWER_TIMEOUT_MS = 5_000
/** The env file of a home is a few lines. Bytes. */
const ENV_FILE_BYTES_MAX = 64 * 1024

/** Whether a gateway, or something else, is at the configured address, and how it is. */
export async function checkGateway({ server }: Config, configFile: string): Promise<Check> {
  const endpoint = endpointInHome(configFile) ?? endpointOf(server)
  if (endpoint === undefined)
    return { state: 'ok', code: 'GATEWAY', message: 'the system chooses the port; nothing to look at' }
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
    const answer = await fetch(`${endpoint}/readyz`, { signal, redirect: 'error' })
    const report = parseReport(await answer.text())
    return report ? runningCheck(endpoint, report) : foreign(endpoint, 'answers as no gateway does')
  } catch (error) {
    return absentCheck(endpoint, error)
  }
}

function endpointOf({ host, port }: Config['server']): string | undefined {
  if (port === 0) return undefined
  // The wildcard addresses are for listening.
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}

/** A quick start may have been told another port; it wrote its address beside its configuration. */
function endpointInHome(configFile: string): string | undefined {
  const file = join(dirname(configFile), 'env')
  if (!existsSync(file)) return undefined
  const text = readFileSync(file).toString('utf8', 0, ENV_FILE_BYTES_MAX)
  return /^export P11KMS_ENDPOINT='(http:\/\/[^'\s]+)'$/m.exec(text)?.[1]
}

function parseReport(text: string): ReadyReport | undefined {
  try {
    const report = JSON.parse(text) as ReadyReport
    return typeof report.ready === 'boolean' && typeof report.components === 'object' ? report : undefined
  } catch {
    return undefined
  }
}

function runningCheck(endpoint: string, { ready, components }: ReadyReport): Check {
  if (ready) return { state: 'ok', code: 'GATEWAY', message: `a gateway serves on ${endpoint} and is ready` }
  const bad = Object.entries(components).filter(([, { ok }]) => !ok)
  const reasons = bad.map(([name, { reason }]) => `${name}: ${reason}`)
  const hints = bad.flatMap(([, { hint }]) => hint ?? [])
  return {
    state: 'fail',
    code: 'GATEWAY',
    message: `a gateway runs on ${endpoint}, but is not ready. ${reasons.join(' ')}`,
    next: [
      ...hints,
      'What is wrong with the token and the store is told above; the log of the gateway has more.',
    ].join(' '),
  }
}

/** What fetch failed with, down in its causes. */
function absentCheck(endpoint: string, error: unknown): Check {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = errnoOf(cause)
  if (code === 'ECONNREFUSED')
    return { state: 'ok', code: 'GATEWAY', message: `no gateway runs on ${endpoint}; the port is free` }
  if (error instanceof Error && error.name === 'TimeoutError')
    return foreign(endpoint, `does not answer in ${ANSWER_TIMEOUT_MS / 1000} s`)
  return foreign(endpoint, 'does not speak HTTP')
}

function foreign(endpoint: string, what: string): Check {
  const { port } = new URL(endpoint)
  return {
    state: 'fail',
    code: 'GATEWAY',
    message: `something at ${endpoint} ${what}`,
    next: `Look what has the port (ss -ltnp 'sport = :${port}'); stop it, or choose another with server.port or --port.`,
  }
}
