import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { App } from '../../src/app.ts'
import { runUntilStopped } from '../../src/run.ts'

const SCRIPT = fileURLToPath(new URL('ending-process.mjs', import.meta.url))

describe('endOnUncaught', () => {
  async function endOf(...args: readonly string[]): Promise<unknown[]> {
    const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
    const timer = setTimeout(() => child.kill('SIGTERM'), 20_000)
    try {
      return await once(child, 'exit')
    } finally {
      clearTimeout(timer)
    }
  }

  it('ends a process with a thread that hangs, which an exit would wait for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'p11kms-run-'))
    try {
      const fifo = join(folder, 'fifo')
      execFileSync('mkfifo', [fifo])
      expect(await endOf(fifo)).toStrictEqual([null, 'SIGKILL'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  }, 30_000)

  it('tells by the exit code where no thread is left', async () => {
    expect(await endOf()).toStrictEqual([70, null])
  }, 30_000)
})

describe('runUntilStopped', () => {
  afterEach(() => vi.restoreAllMocks())

  it.each([
    { hangs: true, kills: [[process.pid, 'SIGKILL']] },
    { hangs: false, kills: [] },
  ])('kills the process where closing fails and a thread hangs: $hangs', async ({ hangs, kills }) => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
    const app: Pick<App, 'failed' | 'hangs' | 'close'> = {
      failed: new Promise(() => undefined),
      hangs: () => hangs,
      close: () => Promise.reject(new Error('the store did not close')),
    }
    const log = { logger: pino({ level: 'silent' }), flush: () => undefined }
    const ended = runUntilStopped(app, Promise.resolve('SIGTERM'), log, 60_000)
    await expect(ended).rejects.toThrow('the store did not close')
    expect(kill.mock.calls).toStrictEqual(kills)
  })
})
