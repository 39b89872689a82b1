import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { MAIN } from './gateway.ts'

const run = promisify(execFile)
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built program to its end. */
export async function p11kms(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CliResult> {
  const options = {
    env: { ...process.env, ...environment },
    timeout: 100_000,
    maxBuffer: OUTPUT_BYTES_MAX,
  }
  try {
    const { stdout, stderr } = await run(process.execPath, [MAIN, ...args], options)
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as CliResult
    return { code, stdout, stderr }
  }
}
