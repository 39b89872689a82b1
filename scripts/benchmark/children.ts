import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { BenchGateway } from './gateway.ts'

const run = promisify(execFile)
const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export interface ClosedLoop {
  readonly ok: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** GenerateDataKey over `connections` connections, one request in flight on each, in a process of its own. */
export async function closedLoop(
  gateway: BenchGateway,
  connections: number,
  seconds: number,
): Promise<ClosedLoop> {
  const args = [script('load.ts'), String(gateway.port), String(seconds), String(connections)]
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...gateway.env } })
  return JSON.parse(stdout) as ClosedLoop
}

/** The same Cryptoki calls without a gateway, by `sessions` threads in a process of their own. Operations a second. */
export async function rawToken(gateway: BenchGateway, sessions: number, seconds: number): Promise<number> {
  const { module, pinFile, keyLabel, softhsmConf, faults } = gateway
  const args = [
    script('raw-token.ts'),
    module,
    'p11kms',
    pinFile,
    keyLabel,
    String(seconds),
    String(sessions),
  ]
  const { stdout } = await run(process.execPath, args, {
    env: { ...process.env, ...faults, SOFTHSM2_CONF: softhsmConf },
  })
  return (JSON.parse(stdout) as { readonly perSecond: number }).perSecond
}

/** Requests at a fixed rate, whatever the answers, in a process of its own. */
export interface OpenLoop {
  readonly sent: number
  /** Not sent, because every connection was waiting for an answer. */
  readonly unsent: number
  readonly ok: number
  readonly okPerSecond: number
  /** Answers that are not ok, by the name of their fault. */
  readonly faults: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function openLoop(gateway: BenchGateway, perSecond: number, seconds: number): Promise<OpenLoop> {
  const args = [script('open-load.ts'), String(gateway.port), String(seconds), String(perSecond)]
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...gateway.env } })
  return JSON.parse(stdout) as OpenLoop
}

/** Mixed operations whose answers are checked. */
export interface Mixed {
  readonly ok: number
  readonly failed: number
  /** Answers that were not what had been sealed. */
  readonly wrong: number
  readonly faults: Readonly<Record<string, number>>
}

export async function mixedLoad(
  gateway: BenchGateway,
  operations: number,
  connections: number,
): Promise<Mixed> {
  const args = [script('mixed-load.ts'), String(gateway.port), String(operations), String(connections)]
  const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...gateway.env } })
  return JSON.parse(stdout) as Mixed
}
