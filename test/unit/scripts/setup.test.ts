import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fixture } from './fixture.ts'

const SYSTEM_TOOLS =
  'cat chmod cp cut dirname env find flock id mkdir rm sed sh sha256sum sort tail uname'.split(' ')

/** A checkout with the scripts and nothing else, and a PATH with the tools of every system plus `stubs`. */
function checkout(stubs: Readonly<Record<string, string>>) {
  const root = fixture({
    'package-lock.json': '{}',
    'package.json': '{}',
    ...Object.fromEntries(
      Object.entries(stubs).map(([name, body]) => [`bin/${name}`, `#!/bin/sh\n${body}\n`]),
    ),
  })
  for (const name of Object.keys(stubs)) chmodSync(join(root, 'bin', name), 0o755)
  for (const folder of ['bin', 'scripts']) mkdirSync(join(root, folder), { recursive: true })
  for (const name of ['setup.sh', 'start', 'test', 'p11kms'])
    copyFileSync(`scripts/${name}`, join(root, 'scripts', name))
  for (const tool of SYSTEM_TOOLS) {
    const path = ['/usr/bin', '/bin'].map((folder) => `${folder}/${tool}`).find(existsSync)
    if (path !== undefined && stubs[tool] === undefined) symlinkSync(path, join(root, 'bin', tool))
  }
  const env = { PATH: join(root, 'bin') }
  const run = (...command: string[]) =>
    spawnSync('/bin/sh', command, { cwd: root, env, encoding: 'utf8', timeout: 20_000 })
  return { root, run }
}

it.each(['start', 'test'])('scripts/%s --help shows the usage and sets nothing up', (name) => {
  const { root, run } = checkout({})
  const { status, stdout } = run(`scripts/${name}`, '--help')
  expect(status).toBe(0)
  expect(stdout).toContain(`Usage: scripts/${name}`)
  expect(existsSync(join(root, '.node'))).toBe(false)
})

it('names what to install, per system, where it cannot install itself', () => {
  const { run } = checkout({ id: 'echo 1000', 'apt-get': 'echo must not run >&2; exit 1' })
  const { status, stderr } = run('scripts/start')
  expect(status).toBe(69)
  expect(stderr).toContain('this needs softhsm2 nodejs npm python3 g++ make')
  for (const command of ['apt-get install', 'dnf install', 'pacman -S', 'apk add', 'brew install']) {
    expect(stderr).toContain(command)
  }
  expect(stderr).not.toContain('must not run')
})

it('shows the end of the log of a step that failed, and stops', () => {
  const { root, run } = checkout({ id: 'echo 0', 'apt-get': 'echo "no route to mirror"; exit 100' })
  const { status, stderr } = run('scripts/start')
  expect(status).toBe(70)
  expect(stderr).toContain('| no route to mirror')
  expect(stderr).toContain(join(root, '.node/apt-update.log'))
})

it('scripts/p11kms runs the built program by a Node that it supports, with the home of the checkout', () => {
  const facts = '24.1.0 137 x64 /usr'
  const { root, run } = checkout({
    node: `case $1 in -p) echo ${facts} ;; *) echo "$P11KMS_HOME: $*" ;; esac`,
  })
  const unbuilt = run('scripts/p11kms', 'doctor')
  expect([unbuilt.status, unbuilt.stderr]).toEqual([69, expect.stringContaining('scripts/start builds it')])
  mkdirSync(join(root, 'dist'))
  copyFileSync('package.json', join(root, 'dist/main.js'))
  // npm is there only to say that nothing is to be installed.
  const { status, stdout, stderr } = run('scripts/p11kms', 'token', 'list')
  expect(stdout, stderr).toBe(`${root}/.p11kms: ${root}/dist/main.js token list\n`)
  expect(status).toBe(0)
})

it('scripts/p11kms says what to do where no Node is new enough', () => {
  const { run } = checkout({ node: 'echo 20.20.2 115 x64 /usr' })
  const { status, stderr } = run('scripts/p11kms', 'doctor')
  expect([status, stderr]).toEqual([69, expect.stringContaining('scripts/start sets one up')])
})
