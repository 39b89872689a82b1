import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const fromRoot = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const run = (...args: readonly string[]) =>
  spawnSync(fromRoot('scripts/docker-engine'), args, { encoding: 'utf8', timeout: 10_000 })

describe('scripts/docker-engine', () => {
  it('says how it is used, and that it wants a command', () => {
    expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage:') })
    expect(run()).toMatchObject({ status: 64, stderr: expect.stringContaining('Usage:') })
  })

  it('finds in the Dockerfile what it is to pull or to make', () => {
    const script = readFileSync(fromRoot('scripts/docker-engine'), 'utf8')
    const dockerfile = readFileSync(fromRoot('softhsm/Dockerfile'), 'utf8')
    const asked = [...script.matchAll(/default_of ([A-Z_]+)\)/g)].map(([, name]) => name)
    expect(new Set(asked)).toEqual(new Set(['NODE_IMAGE', 'RUNTIME_IMAGE']))
    for (const name of asked) expect(dockerfile).toMatch(new RegExp(`^ARG ${name}=\\S+:\\S+$`, 'm'))
    // What it makes is the release that is the default.
    const suite = /^suite=(\w+)$/m.exec(script)?.[1] ?? 'none'
    expect(dockerfile).toContain(`RUNTIME_IMAGE=debian:${suite}-slim`)
  })
})
