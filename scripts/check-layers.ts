/** Holds src/ to the layers of .dependency-cruiser.cjs, and proves that every source file was really looked at. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { filesUnder } from './files.ts'
import { type CheckResult, report } from './report.ts'

interface Cruise {
  readonly modules: readonly { readonly source: string }[]
  readonly summary: {
    readonly violations: readonly {
      readonly from: string
      readonly to: string
      readonly rule: { readonly name: string }
    }[]
  }
}

/** By its path, because the package exports its API but not its command. */
const CRUISER = fileURLToPath(
  new URL('../node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', import.meta.url),
)
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

function cruise(root: string): Cruise {
  const options = ['src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json']
  const run = spawnSync(process.execPath, [CRUISER, ...options], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
  })
  // Its exit code is the number of violations; only output that is not a report means that it did not run.
  if (!run.stdout.startsWith('{')) throw new Error(`dependency-cruiser gave no report: ${run.stderr}`)
  return JSON.parse(run.stdout) as Cruise
}

export function checkLayers(root: string): CheckResult {
  const files = filesUnder(root, 'src', '.ts')
  if (files.length === 0) return { problems: ['src: has no TypeScript file'], summary: '' }
  const { modules, summary } = cruise(root)
  const problems = summary.violations.map(({ rule, from, to }) => `${from}: imports ${to} (${rule.name})`)
  // With a TypeScript it does not know, dependency-cruiser cruises nothing and reports success.
  const cruised = new Set(modules.map((module) => module.source))
  for (const file of files.filter((path) => !cruised.has(path))) problems.push(`${file}: was not cruised`)
  return { problems, summary: `layers: ${files.length} files keep to them` }
}

if (import.meta.main) report(checkLayers(process.cwd()))
