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

/** Starts `p11kms quickstart` and waits until it says that it serves. */
export async function startGateway(options: {
  readonly home: string
  readonly port?: number
  readonly environment?: NodeJS.ProcessEnv
}): Promise<Gateway> {
  if (!existsSync(MAIN)) throw new Error('dist/main.js is missing: run npm run build')
  const { home, port = 0 } = options
  const args = [MAIN, 'quickstart', '--home', home, '--port', String(port)]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const chunks: string[] = []
  const output = () => chunks.join('')
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready in time:\n${output()}`)), READY_TIMEOUT_MS)
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      chunks.push(chunk)
      if (!output().includes('Ctrl-C stops it')) return
      clearTimeout(timer)
      resolve()
    })
    void exited.then((how) => reject(new Error(`ended (${how}) before it served:\n${output()}`)))
  })
  await ready
  const env = readEnvFile(join(home, 'env'))
  const endpoint = env['P11KMS_ENDPOINT'] ?? ''
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return exited
  }
  return { home, endpoint, env, process: child, output, stop }
}

/** What a shell would have after sourcing the file. */
export function readEnvFile(file: string): GatewayEnv {
  const lines = readFileSync(file, 'utf8')
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
