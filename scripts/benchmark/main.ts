/** Drives scripts/bench: the gateway and the raw token in turn, medians over the rounds. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { findSofthsmModule } from '../../src/config/home.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    workers: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const CONNECTIONS = 16
/** V8 is still compiling the hot path after five seconds of load. */
const WARM_UP_SECONDS = '10'
/** clock ticks of /proc/<pid>/stat (Linux: always 100 for user space). */
const TICKS_PER_SECOND = 100
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const READY_TIMEOUT_MS = 30_000
const run = promisify(execFile)
const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

interface LoadResult {
  readonly ok: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}
interface Round extends LoadResult {
  readonly rawPerSecond: number
  readonly ratio: number
  readonly cpuMicros: number
  readonly rssMib: number
}

/** A process and those that it started. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').map(Number))]
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function rssMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

type Gateway = ChildProcess & { readonly pid: number }

/** One process, its log at the usual level going to a file. */
function startOne(home: string): Promise<Gateway> {
  const log = openSync(join(home, 'log'), 'a')
  const child = spawn(process.execPath, [MAIN, 'quickstart', '--home', home, '--port', '0'], {
    stdio: ['ignore', 'pipe', log],
  })
  closeSync(log)
  return ready(child, home, 'Ctrl-C stops it')
}

/** Worker processes on the same address, their log at the usual level going nowhere. */
function startWorkers(home: string, env: Record<string, string>, workers: string): Promise<Gateway> {
  const port = new URL(env['P11KMS_ENDPOINT'] ?? '').port
  const config = join(home, 'config.yaml')
  const args = [MAIN, 'serve', '--config', config, '--workers', workers, '--port', port]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  return ready(child, home, '"msg":"serving"')
}

async function stop(gateway: ChildProcess): Promise<void> {
  gateway.kill('SIGTERM')
  await new Promise((resolve) => gateway.once('exit', resolve))
}

async function ready(child: ChildProcess, home: string, sign: string): Promise<Gateway> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the gateway was not ready in time')), READY_TIMEOUT_MS)
    child.once('exit', () => reject(new Error(readFileSync(join(home, 'log'), 'utf8'))))
    child.stdout?.on('data', (chunk: Buffer) => {
      if (!chunk.includes(sign)) return
      clearTimeout(timer)
      resolve()
    })
  })
  child.removeAllListeners('exit')
  return child as Gateway
}

function readEnv(home: string): Record<string, string> {
  const text = readFileSync(join(home, 'env'), 'utf8')
  return Object.fromEntries(
    [...text.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]),
  )
}

async function measure(
  pid: number,
  home: string,
  env: Record<string, string>,
  seconds: string,
): Promise<Round> {
  const rawArgs = [findSofthsmModule(process.env), 'p11kms', join(home, 'secrets/user-pin')]
  const keyLabel = `kms/${env['P11KMS_KEY_ID']}/v1/enc`
  const raw = await run(process.execPath, [script('raw-token.ts'), ...rawArgs, keyLabel, seconds], {
    env: { ...process.env, SOFTHSM2_CONF: join(home, 'softhsm2.conf') },
  })
  const { perSecond: rawPerSecond } = JSON.parse(raw.stdout) as { readonly perSecond: number }
  const port = new URL(env['P11KMS_ENDPOINT'] ?? '').port
  const pids = family(pid)
  const cpu = () => sum(pids.map(cpuSeconds))
  const before = cpu()
  const loaded = await run(process.execPath, [script('load.ts'), port, seconds, String(CONNECTIONS)], {
    env: { ...process.env, ...env },
  })
  const load = JSON.parse(loaded.stdout) as LoadResult
  const cpuMicros = ((cpu() - before) * 1e6) / (load.ok + load.failed)
  const ratio = load.perSecond / rawPerSecond
  return { ...load, rawPerSecond, ratio, cpuMicros, rssMib: sum(pids.map(rssMib)) }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

function report(what: string, rounds: readonly Round[]): void {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const result = {
    what,
    rounds: rounds.length,
    connections: CONNECTIONS,
    cores: availableParallelism(),
    ratio: of((round) => round.ratio),
    ratioMin: Math.min(...rounds.map((round) => round.ratio)),
    ratioMax: Math.max(...rounds.map((round) => round.ratio)),
    gatewayPerSecond: of((round) => round.perSecond),
    rawPerSecond: of((round) => round.rawPerSecond),
    cpuMicrosPerRequest: of((round) => round.cpuMicros),
    p50Ms: of((round) => round.p50Ms),
    p99Ms: of((round) => round.p99Ms),
    rssMib: of((round) => round.rssMib),
    failed: sum(rounds.map((round) => round.failed)),
  }
  if (values.json) {
    console.log(JSON.stringify(result))
    return
  }
  const n = (value: number, digits = 0) => value.toFixed(digits)
  console.log(`GenerateDataKey, ${what}, ${CONNECTIONS} connections, ${result.cores} cores shared with the load generator
  ratio to the raw token  ${n(result.ratio, 3)}   (min ${n(result.ratioMin, 3)}, max ${n(result.ratioMax, 3)}, median of ${result.rounds} rounds)
  gateway                 ${n(result.gatewayPerSecond)} requests/s
  raw token, one session  ${n(result.rawPerSecond)} operations/s
  CPU per request         ${n(result.cpuMicrosPerRequest)} µs of the gateway's processes
  latency                 p50 ${n(result.p50Ms, 2)} ms, p99 ${n(result.p99Ms, 2)} ms
  memory (RSS)            ${n(result.rssMib)} MiB
  failed requests         ${result.failed}`)
}

async function measureAll(what: string, gateway: Gateway, home: string): Promise<void> {
  const env = readEnv(home)
  try {
    await measure(gateway.pid, home, env, WARM_UP_SECONDS)
    const rounds: Round[] = []
    for (let i = 0; i < Number(values.rounds); i++)
      rounds.push(await measure(gateway.pid, home, env, values.seconds))
    report(what, rounds)
    if (rounds.some((round) => round.failed > 0)) process.exitCode = 1
  } finally {
    await stop(gateway)
  }
}

const home = mkdtempSync(join(tmpdir(), 'p11kms-bench-'))
try {
  await measureAll('one process', await startOne(home), home)
  const { workers } = values
  if (workers !== undefined)
    await measureAll(`${workers} workers`, await startWorkers(home, readEnv(home), workers), home)
} finally {
  rmSync(home, { recursive: true, force: true })
}
