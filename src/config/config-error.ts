/** One thing that is wrong, and where. */
export interface ConfigProblem {
  /** Dotted path in the file, such as `tokens.0.pin`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
}

/** What the operator must mend before the program can serve: every problem at once. Ends as exit code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ path, message }) =>
      path === '' ? `  - ${message}` : `  - ${path}: ${message}`,
    )
    super(
      `${file}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n${lines.join('\n')}`,
    )
    this.problems = problems
  }
}
