import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const OUTPUT = fileURLToPath(new URL('../../../src/cli/output.ts', import.meta.url))
const LENGTH = 2_000_000
/** Looking at process.stdout makes a pipe non-blocking. */
const PRINT = `const { printLine } = await import(process.argv[1]); process.stdout.isTTY; printLine('x'.repeat(${LENGTH}))`

it('a line arrives whole, however long it is and however slow its reader', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PRINT, OUTPUT], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  await sleep(500)
  let length = 0
  child.stdout.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  await ended
  expect(length).toBe(LENGTH + 1)
})
