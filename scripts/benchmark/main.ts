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
    json: { type: 'boolean', default: false },
  },
})
const CONNECTIONS = 16
/** V8 is still compiling the hot path after five seconds of load. */
const WARM_UP_SECONDS = '10'
/** clock ticks of /proc/<pid>/stat (Linux: always 100 for user space). */
const TICKS_PER_SECOND = 100
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

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function rssMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** Starts the built program as an operator would, its log at the usual level going to a file. */
async function startGateway(home: string): Promise<ChildProcess & { readonly pid: number }> {
  const log = openSync(join(home, 'log'), 'a')
  const args = [script('../../dist/main.js'), 'quickstart', '--home', home, '--port', '0']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', log] })
  closeSync(log)
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the gateway was not ready in time')), READY_TIMEOUT_MS)
    child.once('exit', () => reject(new Error(readFileSync(join(home, 'log'), 'utf8'))))
    child.stdout?.on('data', (chunk: Buffer) => {
      if (!chunk.includes('Ctrl-C stops it')) return
      clearTimeout(timer)
      resolve()
    })
  })
  return child as ChildProcess & { readonly pid: number }
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
  const before = cpuSeconds(pid)
  const loaded = await run(process.execPath, [script('load.ts'), port, seconds, String(CONNECTIONS)], {
    env: { ...process.env, ...env },
  })
  const load = JSON.parse(loaded.stdout) as LoadResult
  const cpuMicros = ((cpuSeconds(pid) - before) * 1e6) / (load.ok + load.failed)
  return { ...load, rawPerSecond, ratio: load.perSecond / rawPerSecond, cpuMicros, rssMib: rssMib(pid) }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

function report(rounds: readonly Round[]): void {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const result = {
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
    failed: rounds.reduce((sum, round) => sum + round.failed, 0),
  }
  if (values.json) {
    console.log(JSON.stringify(result))
    return
  }
  const n = (value: number, digits = 0) => value.toFixed(digits)
  console.log(`GenerateDataKey, ${CONNECTIONS} connections, ${result.cores} cores shared with the load generator
  ratio to the raw token  ${n(result.ratio, 3)}   (min ${n(result.ratioMin, 3)}, max ${n(result.ratioMax, 3)}, median of ${result.rounds} rounds)
  gateway                 ${n(result.gatewayPerSecond)} requests/s
  raw token, one session  ${n(result.rawPerSecond)} operations/s
  CPU per request         ${n(result.cpuMicrosPerRequest)} µs of the gateway's process
  latency                 p50 ${n(result.p50Ms, 2)} ms, p99 ${n(result.p99Ms, 2)} ms
  memory (RSS)            ${n(result.rssMib)} MiB
  failed requests         ${result.failed}`)
}

const home = mkdtempSync(join(tmpdir(), 'p11kms-bench-'))
const gateway = await startGateway(home)
try {
  const env = readEnv(home)
  await measure(gateway.pid, home, env, WARM_UP_SECONDS)
  const rounds: Round[] = []
  for (let i = 0; i < Number(values.rounds); i++)
    rounds.push(await measure(gateway.pid, home, env, values.seconds))
  report(rounds)
  if (rounds.some((round) => round.failed > 0)) process.exitCode = 1
} finally {
  gateway.kill('SIGTERM')
  await new Promise((resolve) => gateway.once('exit', resolve))
  rmSync(home, { recursive: true, force: true })
}
