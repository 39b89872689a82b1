/** `npm run check`: every `check:*` script of package.json, all of them at once and to the end. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

interface CheckOutcome {
  readonly name: string
  readonly passed: boolean
}

/** The checks of package.json by name: `check:types` is "types". */
export function checkNames(root: string): string[] {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts?: Record<string, string>
  }
  return Object.keys(manifest.scripts ?? {})
    .filter((script) => script.startsWith('check:'))
    .map((script) => script.slice('check:'.length))
}

/** Runs one check; what it printed is kept back until it ends, so that outputs do not mix, and shown if it failed. */
function runCheck(root: string, name: string): Promise<CheckOutcome> {
  const startedMs = Date.now()
  const child = spawn('npm', ['run', '--silent', `check:${name}`], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  return new Promise((resolve) => {
    const end = (passed: boolean, note: string): void => {
      const seconds = ((Date.now() - startedMs) / 1000).toFixed(1)
      process.stdout.write(`${passed ? 'ok    ' : 'FAILED'} check:${name} (${seconds} s)${note}\n`)
      if (!passed) process.stdout.write(Buffer.concat(output))
      resolve({ name, passed })
    }
    child.on('error', (error) => end(false, `: ${error.message}`))
    child.on('close', (code, signal) => end(code === 0, signal === null ? '' : `: ended by ${signal}`))
  })
}

export function runChecks(root: string): Promise<CheckOutcome[]> {
  return Promise.all(checkNames(root).map((name) => runCheck(root, name)))
}

if (import.meta.main) {
  const outcomes = await runChecks(process.cwd())
  if (outcomes.length === 0) console.error('package.json has no check:* script')
  process.exitCode = outcomes.length > 0 && outcomes.every(({ passed }) => passed) ? 0 : 1
}
