import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms'

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const READY_TIMEOUT_MS = 30_000

/** What the env file of a home exports. */
export type GatewayEnv = Readonly<Record<string, string>>

/** The built program, running on loopback. */
export interface Gateway {
  readonly home: string
  readonly endpoint: string
  readonly env: GatewayEnv
  readonly process: ChildProcess
  /** Everything that it wrote, standard output and error together. */
  output(): string
  /** How it ended, once it did. */
  readonly exited: Promise<number | NodeJS.Signals | null>
  /** Ends it and resolves with its exit code, or the signal that killed it. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/** A folder that is removed by {@link removeHome}. */
export function newHome(): string {
  return mkdtempSync(join(tmpdir(), 'p11kms-e2e-'))
}

export function removeHome(home: string): void {
  rmSync(home, { recursive: true, force: true })
}

/** A port that was free a moment ago, for a gateway that is to come back on the same one. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

interface StartOptions {
  readonly home: string
  readonly port?: number
  readonly environment?: NodeJS.ProcessEnv
}

/** Starts `p11kms quickstart` and waits until it says that it serves. */
export async function startGateway(options: StartOptions): Promise<Gateway> {
  const { home, port = 0, environment } = options
  const args = ['quickstart', '--home', home, '--port', String(port)]
  const started = launch(args, environment, ['ignore', 'pipe', 'pipe'])
  await started.said('Ctrl-C stops it')
  const env = readEnvFile(join(home, 'env'))
  return { ...started, home, endpoint: env['P11KMS_ENDPOINT'] ?? '', env }
}

/** A home with everything that `p11kms serve` needs. */
export async function preparedHome(): Promise<string> {
  const home = newHome()
  const gateway = await startGateway({ home })
  await gateway.stop()
  return home
}

/** A line of the log. */
export interface LogLine {
  readonly msg?: string
  readonly worker?: number
  readonly pid?: number
  readonly [field: string]: unknown
}

/** `p11kms serve` with worker processes. */
export interface Service extends Gateway {
  /** Whole lines of its log, each of which must be JSON. */
  log(): LogLine[]
  /** Process ids of the workers that serve, by worker. */
  workers(): Map<number, number>
}

/**
 * Starts `p11kms serve` from a prepared home and waits until it says that it serves.
 *
 * @param options.readiness - What to wait for in its log instead.
 * @param options.input - What descriptor 5 gives.
 */
export async function startService(
  options: StartOptions & {
    readonly workers: number
    readonly readiness?: string
    readonly input?: string
  },
): Promise<Service> {
  const { home, workers, readiness = '"msg":"serving"', environment } = options
  const port = options.port ?? (await freePort())
  const config = join(home, 'config.yaml')
  const args = ['serve', '--config', config, '--workers', String(workers), '--port', String(port)]
  const input = options.input === undefined ? [] : (['ignore', 'ignore', 'pipe'] as const)
  const started = launch(args, environment, ['ignore', 'pipe', 'pipe', ...input])
  const pipe = started.process.stdio.at(5)
  if (pipe && 'end' in pipe) pipe.end(options.input)
  await started.said(readiness)
  const endpoint = `http://127.0.0.1:${port}`
  const env = {
    ...readEnvFile(join(home, 'env')),
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_ENDPOINT_URL_STS: endpoint,
    P11KMS_ENDPOINT: endpoint,
  }
  const lines: LogLine[] = []
  let parsed = 0
  const log = () => {
    const text = started.stdout()
    const end = text.lastIndexOf('\n') + 1
    const fresh = text.slice(parsed, end).split('\n').slice(0, -1)
    lines.push(...fresh.map((line) => JSON.parse(line) as LogLine))
    parsed = end
    return lines
  }
  const serving = () =>
    new Map(
      log()
        .filter(({ msg }) => msg === 'worker serves')
        .map(({ worker = 0, pid = 0 }) => [worker, pid] as const)
        .filter(([, pid]) => isAlive(pid)),
    )
  return { ...started, home, endpoint, env, log, workers: serving }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Starts the built program. */
function launch(
  args: readonly string[],
  environment: NodeJS.ProcessEnv | undefined,
  stdio: ('ignore' | 'pipe')[],
) {
  if (!existsSync(MAIN)) throw new Error('dist/main.js is missing: run npm run build')
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...environment }, stdio })
  let all = ''
  let out = ''
  const output = () => all
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (all += chunk))
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    all += chunk
    out += chunk
  })
  /** Resolves once it wrote `text` to its standard output; fails when it ends before. */
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not ready in time:\n${output()}`)), READY_TIMEOUT_MS)
      const look = () => {
        if (!out.includes(text)) return
        clearTimeout(timer)
        child.stdout?.off('data', look)
        resolve()
      }
      child.stdout?.on('data', look)
      void exited.then((how) => reject(new Error(`ended (${how}) before it served:\n${output()}`)))
    })
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return exited
  }
  return { process: child, output, stdout: () => out, said, exited, stop }
}

/** What a shell would have after sourcing the file. */
export function readEnvFile(file: string): GatewayEnv {
  return parseEnvFile(readFileSync(file, 'utf8'))
}

export function parseEnvFile(text: string): GatewayEnv {
  const lines = text
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('unset '))
  return Object.fromEntries(
    lines.map((line) => {
      const match = /^export ([A-Z0-9_]+)='([^']*)'$/.exec(line)
      if (!match) throw new Error(`unexpected line in env file: ${line}`)
      return [match[1], match[2]] as const
    }),
  ) as GatewayEnv
}

/** The unmodified SDK client, configured by nothing but the endpoint, the region and the credentials. */
export function sdkClient(env: GatewayEnv, overrides: KMSClientConfig = {}): KMSClient {
  return new KMSClient({
    endpoint: env['AWS_ENDPOINT_URL_KMS'] ?? '',
    region: env['AWS_REGION'] ?? '',
    credentials: {
      accessKeyId: env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: env['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
    ...overrides,
  })
}
