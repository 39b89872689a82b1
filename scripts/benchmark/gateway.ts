import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { findSofthsmModule } from '../../src/config/home.ts'

/** The built program on loopback, as an operator would run it, and what the system knows of its process. */
export interface BenchGateway {
  readonly pid: number
  readonly port: number
  /** What its env file exports. */
  readonly env: NodeJS.ProcessEnv
  /** Path of the SoftHSM configuration, of the user PIN and of the module that it loads. */
  readonly softhsmConf: string
  readonly pinFile: string
  readonly module: string
  /** Label of the token object that seals for the first key. */
  readonly keyLabel: string
  /** Environment of the fault-injecting module; empty without it. */
  readonly faults: NodeJS.ProcessEnv
  /** Replaces the rules of the fault-injecting module. */
  setFaults(rules: string): void
  /** Prometheus samples without labels, by name. */
  metrics(): Promise<ReadonlyMap<string, number>>
  stop(): Promise<void>
}

export interface BenchGatewayOptions {
  /** Sessions that do cryptography; the default where absent. */
  readonly lanes?: number
  /** Worker processes under a supervisor; 0, as by default, for one process alone. */
  readonly workers?: number
  /** Goes through p11chaos, under these rules. */
  readonly faults?: string
}

const READY_TIMEOUT_MS = 60_000
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const CHAOS = fileURLToPath(new URL('../../softhsm/p11chaos', import.meta.url))

/** Makes a home of its own (token, credentials, first key), then serves from it. */
export async function startGateway(options: BenchGatewayOptions = {}): Promise<BenchGateway> {
  const home = mkdtempSync(join(tmpdir(), 'p11kms-bench-'))
  const port = await freePort()
  try {
    await prepare(home, port)
    const faultsFile = join(home, 'faults')
    writeFileSync(faultsFile, options.faults ?? '')
    const module = configure(home, options, faultsFile)
    const workers = String(options.workers ?? 0)
    const args = ['serve', '--config', join(home, 'config.yaml'), '--workers', workers]
    const child = await serve(home, args, port)
    const env = readEnv(home)
    return {
      pid: child.pid ?? 0,
      port,
      env,
      module,
      softhsmConf: join(home, 'softhsm2.conf'),
      pinFile: join(home, 'secrets/user-pin'),
      keyLabel: `kms/${env['P11KMS_KEY_ID']}/v1/enc`,
      faults: options.faults === undefined ? {} : chaosEnvironment(faultsFile),
      setFaults: (rules) => {
        writeFileSync(`${faultsFile}.new`, rules)
        renameSync(`${faultsFile}.new`, faultsFile)
      },
      metrics: () => scrape(port),
      stop: async () => {
        await end(child)
        rmSync(home, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(home, { recursive: true, force: true })
    throw error
  }
}

async function prepare(home: string, port: number): Promise<void> {
  await end(await serve(home, ['quickstart', '--home', home], port))
}

/** Writes the options into the configuration. @returns The module that is loaded. */
function configure(home: string, { lanes, faults }: BenchGatewayOptions, faultsFile: string): string {
  const file = join(home, 'config.yaml')
  const config = parse(readFileSync(file, 'utf8')) as {
    tokens: { module: string; lanes?: number; environment: Record<string, string> }[]
  }
  const [token] = config.tokens
  if (!token) throw new Error('the quick start configures a token')
  if (lanes !== undefined) token.lanes = lanes
  if (faults !== undefined) {
    Object.assign(token.environment, chaosEnvironment(faultsFile))
    execFileSync('make', ['-s', '-C', CHAOS], { stdio: ['ignore', 'ignore', 'inherit'] })
    token.module = join(CHAOS, 'build/p11chaos.so')
  }
  writeFileSync(file, stringify(config))
  return token.module
}

function chaosEnvironment(faultsFile: string): Record<string, string> {
  return { P11CHAOS_CONF: faultsFile, P11CHAOS_MODULE: findSofthsmModule(process.env) }
}

/** Resolves when it is ready to serve; its log at the usual level goes to a file. */
async function serve(home: string, args: readonly string[], port: number): Promise<ChildProcess> {
  const logFile = join(home, 'log')
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, [MAIN, ...args, '--port', String(port)], {
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const until = performance.now() + READY_TIMEOUT_MS
  while (!(await isReady(port, args[0] === 'quickstart' ? join(home, 'env') : undefined))) {
    if (child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL')
      throw new Error(`the gateway did not come up:\n${readFileSync(logFile, 'utf8').slice(-4096)}`)
    }
    await delay(50)
  }
  return child
}

/** @param made - A file that must be there too. */
async function isReady(port: number, made: string | undefined): Promise<boolean> {
  try {
    if (made !== undefined) readFileSync(made)
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await exited
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function readEnv(home: string): NodeJS.ProcessEnv {
  const text = readFileSync(join(home, 'env'), 'utf8')
  return Object.fromEntries(
    [...text.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]),
  )
}

async function scrape(port: number): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return new Map(
    [...text.matchAll(/^([a-z0-9_]+) ([-+0-9.eE]+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  )
}

/** A process and those that it started. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').map(Number))]
}

function sumOver(pid: number, read: (one: number) => number): number {
  return family(pid).reduce((sum, one) => sum + read(one), 0)
}

/** Processor seconds of a process and its children so far, all threads, from /proc (Linux). */
export function cpuSeconds(pid: number): number {
  return sumOver(pid, (one) => {
    const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  })
}

/** Clock ticks of /proc/<pid>/stat (Linux: always 100 for user space). */
const TICKS_PER_SECOND = 100

/** Resident memory of a process and its children. MiB. */
export function rssMib(pid: number): number {
  return sumOver(pid, (one) => {
    const status = readFileSync(`/proc/${one}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
  })
}
