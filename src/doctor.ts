import type { DoctorOptions } from './cli/commands/doctor.ts'
import { EXIT_CODES } from './cli/exit-codes.ts'
import { printLine } from './cli/output.ts'
import { renderDoctor } from './cli/render/doctor.ts'
import { ConfigError, type ConfigProblem } from './config/config-error.ts'
import { examineConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { CONFIG_CHECKS } from './config-checks.ts'
import { namedTokens } from './configured-tokens.ts'
import type { Check, CheckGroup, DoctorReport } from './core/inspection/doctor-report.ts'
import { checkGateway } from './doctor-gateway.ts'
import { checkStore } from './doctor-store.ts'
import { checkToken } from './doctor-token.ts'

/** `p11kms doctor`. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const report = await examine(options)
  printLine(options.json ? JSON.stringify({ format: 'p11kms.doctor/1', ...report }) : renderDoctor(report))
  return report.summary.fail > 0 ? EXIT_CODES.problems : EXIT_CODES.ok
}

async function examine(options: DoctorOptions): Promise<DoctorReport> {
  const host: CheckGroup = { group: 'host', checks: [nodeCheck()] }
  const { config, problems } = readConfig(options.config)
  const configuration: CheckGroup = { group: 'configuration', checks: configChecks(options.config, problems) }
  const groups = [host, configuration]
  if (config) {
    // One after the other: two processes in one library may wait for each other.
    for (const token of namedTokens(config)) groups.push(await checkToken(config, token, options))
    groups.push(
      { group: 'store', checks: await checkStore(config) },
      { group: 'gateway', checks: [await checkGateway(config, options.config)] },
    )
  }
  const count = (state: Check['state']) =>
    groups.flatMap(({ checks }) => checks).filter((check) => check.state === state).length
  return {
    config: options.config,
    groups,
    summary: { ok: count('ok'), warn: count('warn'), fail: count('fail') },
  }
}

/** The binary itself refuses versions that it does not run on. */
function nodeCheck(): Check {
  const { versions, platform, arch, execPath } = process
  return { state: 'ok', code: 'NODE', message: `Node ${versions.node} on ${platform} ${arch} (${execPath})` }
}

function readConfig(file: string): { config?: Config; problems: readonly ConfigProblem[] } {
  try {
    return examineConfig(file, process.env, CONFIG_CHECKS)
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems }
    throw error
  }
}

/** Told again, with more, in the groups of the token and the store. */
const TOLD_ELSEWHERE = /^(tokens\.\d+\.(replica\.)?(module|pin)|store\.path)$/

function configChecks(file: string, problems: readonly ConfigProblem[]): Check[] {
  const told = problems.filter(({ path }) => !TOLD_ELSEWHERE.test(path))
  if (told.length === 0) return [{ state: 'ok', code: 'CONFIG', message: file }]
  return told.map(({ path, message }) => ({
    state: 'fail',
    code: 'CONFIG',
    message: path === '' ? `${file}: ${message}` : `${path}: ${message}`,
    next: 'Correct the file; docs/config.md has every field, p11kms config check checks it alone.',
  }))
}
