/**
 * `node scripts/run-tests.ts built|build-failed [option of vitest run ...]`: every check, then every test, and the
 * totals of both as the last line. scripts/test calls it when everything is set up.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runChecks } from './check.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}
/** The part of vitest's JSON report that is read here. */
interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numTotalTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

/**
 * Totals of a vitest run. What the report does not count is a failure all the same: a file that could not be loaded,
 * an error outside every test (exit code alone), a run in which nothing ran, no report at all.
 *
 * @param report - The JSON report's text, or undefined where vitest wrote none.
 */
export function countTests(report: string | undefined, exitCode: number | null, requireAll: boolean): Totals {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 }
  const { numPassedTests, numFailedTests, numTotalTests, testResults } = JSON.parse(report) as VitestReport
  const brokenFiles = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length
  const skipped = numTotalTests - numPassedTests - numFailedTests
  let failed = numFailedTests + brokenFiles + (requireAll ? skipped : 0)
  if (failed === 0 && (exitCode !== 0 || numPassedTests === 0)) failed = 1
  return { passed: numPassedTests, failed, skipped: requireAll ? 0 : skipped }
}

export function totalsLine({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function runVitest(root: string, options: readonly string[], requireAll: boolean): Totals {
  const folder = mkdtempSync(join(tmpdir(), 'p11kms-test-'))
  const file = join(folder, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const run = spawnSync(process.execPath, [VITEST, 'run', ...reporters, ...options], {
      cwd: root,
      stdio: 'inherit',
    })
    const totals = countTests(
      existsSync(file) ? readFileSync(file, 'utf8') : undefined,
      run.status,
      requireAll,
    )
    if (totals.failed > 0 && run.status === 0) {
      console.log('vitest passed, but no test ran, or a test was skipped while REQUIRE_ALL=1')
    }
    return totals
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const root = process.cwd()
  const [built, ...options] = process.argv.slice(2)
  const outcomes = await runChecks(root)
  outcomes.push({ name: 'build', passed: built === 'built' })
  const tests = runVitest(root, options, process.env['REQUIRE_ALL'] === '1')
  const failedNames = outcomes.filter(({ passed }) => !passed).map(({ name }) => name)
  if (failedNames.length > 0) console.log(`failed besides tests: ${failedNames.join(', ')}`)
  const totals = {
    passed: tests.passed + outcomes.length - failedNames.length,
    failed: tests.failed + failedNames.length,
    skipped: tests.skipped,
  }
  console.log(totalsLine(totals))
  process.exitCode = totals.failed === 0 ? 0 : 1
}
