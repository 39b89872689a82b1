import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SOFTHSM_MODULE, type SoftHsm } from './softhsm.ts'

const FOLDER = fileURLToPath(new URL('../../softhsm/p11chaos', import.meta.url))
const CHECKER = join(FOLDER, 'build/p11chaos-check')

/** One buffer or number that crossed the Cryptoki boundary. */
export interface TracedBuffer {
  readonly direction: 'in' | 'out'
  /** As the standard names the argument; `pTemplate.CKA_VALUE` for an attribute. */
  readonly name: string
  readonly length?: number
  readonly hex?: string
  readonly truncated?: boolean
  readonly number?: number
  readonly redacted?: boolean
}

/** One call, as p11chaos traced it. */
export interface TracedCall {
  readonly pid: number
  readonly thread: number
  readonly function: string
  readonly session?: number
  readonly mechanism?: string
  readonly rv: string
  readonly microseconds: number
  /** Whether the real module was called. */
  readonly forwarded: boolean
  /** Line of the configuration whose rule met the call. */
  readonly rule?: number
  readonly buffers: readonly TracedBuffer[]
}

export interface FunctionStats {
  readonly calls: number
  readonly errors: number
  /** Calls that a rule met or that were answered without the real module. */
  readonly injected: number
}

/** SoftHSM behind p11chaos; softhsm/p11chaos/README.md has the rules. */
export interface Chaos {
  /** To be loaded in place of SoftHSM's. */
  readonly module: string
  /** Puts these rules in force, and no others, from the next call on; counters begin anew. @throws When one is wrong. */
  set(rules: string | readonly string[]): void
  /** Takes every rule back. */
  clear(): void
  /** Calls since the trace was last read. */
  trace(): TracedCall[]
  /** Counts of this process, or of another, since it loaded the module. */
  stats(pid?: number): Readonly<Record<string, FunctionStats>>
  /** What another process needs to load the module with the same rules. */
  readonly env: Readonly<Record<string, string>>
}

/** Builds p11chaos where it is out of date. @returns The path of the module. */
export function buildChaos(): string {
  execFileSync('make', ['-s', '-C', FOLDER], { stdio: ['ignore', 'ignore', 'inherit'] })
  return join(FOLDER, 'build/p11chaos.so')
}

/**
 * Builds p11chaos where it is out of date, and points this process's environment at it. To be called in the main thread,
 * after {@link makeSoftHsm} and before C_Initialize: C code sees the environment of the main thread alone.
 *
 * @param always - Rules that stay in force under every `set` and after `clear`, as `trace` and `stats` do.
 * @param options - `trace: false` for a test of so many calls that tracing them takes too long.
 */
export function makeChaos(
  softHsm: SoftHsm,
  always: readonly string[] = [],
  options: { readonly trace?: boolean } = {},
): Chaos {
  const module = buildChaos()
  const conf = join(softHsm.directory, 'p11chaos.conf')
  const [trace, stats] = [`${softHsm.directory}/p11chaos.trace`, `${softHsm.directory}/p11chaos.stats`]
  const env = { P11CHAOS_CONF: conf, P11CHAOS_MODULE: SOFTHSM_MODULE }
  let generation = 0
  const set = (rules: readonly string[]): void => {
    generation += 1
    const seeing = options.trace === false ? [] : [`trace ${trace}`]
    const lines = [`generation ${generation}`, ...seeing, `stats ${stats}`, ...always, ...rules]
    writeFileSync(`${conf}.new`, `${lines.join('\n')}\n`)
    requireGood(`${conf}.new`)
    renameSync(`${conf}.new`, conf)
  }
  set([])
  Object.assign(process.env, env)
  return {
    module,
    env,
    set: (rules) => set(typeof rules === 'string' ? [rules] : rules),
    clear: () => set([]),
    trace: () => takeTrace(trace),
    stats: (pid = process.pid) => readStats(`${stats}.${pid}`),
  }
}

function requireGood(conf: string): void {
  const { status, stderr } = spawnSync(CHECKER, [conf], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr.trim())
}

/** Taken away whole: a call that is under way meanwhile is in this trace or in the next. */
function takeTrace(path: string): TracedCall[] {
  if (!existsSync(path)) return []
  renameSync(path, `${path}.taken`)
  const lines = readFileSync(`${path}.taken`, 'utf8').trimEnd().split('\n')
  rmSync(`${path}.taken`)
  return lines.map((line) => JSON.parse(line) as TracedCall)
}

function readStats(path: string): Readonly<Record<string, FunctionStats>> {
  if (!existsSync(path)) return {}
  const rows = readFileSync(path, 'utf8').matchAll(/^(C_\w+) +calls=(\d+) errors=(\d+) injected=(\d+)/gm)
  return Object.fromEntries(
    [...rows].map(([, name, calls, errors, injected]) => [
      name ?? '',
      { calls: Number(calls), errors: Number(errors), injected: Number(injected) },
    ]),
  )
}
