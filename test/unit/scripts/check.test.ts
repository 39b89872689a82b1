import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, it, vi } from 'vitest'
import { fixture } from './fixture.ts'

vi.setConfig({ testTimeout: 30_000 }) // npm takes its time to start

function check(scripts: Readonly<Record<string, string>>) {
  const root = fixture({ 'package.json': JSON.stringify({ scripts }) })
  return spawnSync(process.execPath, [resolve('scripts/check.ts')], { cwd: root, encoding: 'utf8' })
}

it('runs every check to its end and fails when one failed', () => {
  const { status, stdout } = check({ 'check:a': 'echo reason; exit 3', 'check:b': 'exit 0', other: 'exit 1' })
  expect(status).toBe(1)
  expect(stdout).toMatch(/FAILED check:a .*\nreason/)
  expect(stdout).toMatch(/ok {5}check:b/)
  expect(stdout).not.toContain('other')
})

it('passes when every check passed, and fails without one', () => {
  expect(check({ 'check:a': 'exit 0' }).status).toBe(0)
  expect(check({}).status).toBe(1)
})
