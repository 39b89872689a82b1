/** How every check of this folder ends: each problem on a line and exit code 1, or one line saying what was proved. */
export interface CheckResult {
  readonly problems: readonly string[]
  readonly summary: string
}

export function report(result: CheckResult): void {
  for (const problem of result.problems) console.error(problem)
  if (result.problems.length === 0) console.log(result.summary)
  else process.exitCode = 1
}
