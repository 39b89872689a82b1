import { linkSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from '../../../src/config/config-error.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { CONFIG_CHECKS } from '../../../src/config-checks.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'p11kms-config-'))
  writeFileSync(join(folder, 'secret'), 'swordfish-swordfish\n', { mode: 0o600 })
  writeFileSync(join(folder, 'module.so'), '')
  writeFileSync(join(folder, 'other.so'), '')
  symlinkSync(join(folder, 'module.so'), join(folder, 'symlink.so'))
  linkSync(join(folder, 'module.so'), join(folder, 'hardlink.so'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const token = (name: string, changes: object = {}) => ({
  name,
  module: 'module.so',
  label: name,
  pin: { file: 'secret' },
  ...changes,
})

function load(tokens: readonly object[], rest: object = {}) {
  const file = join(folder, 'config.yaml')
  const credentials = [{ accessKeyId: 'AKIAEXAMPLEEXAMPLE00', secretAccessKey: { file: 'secret' } }]
  const accounts = [{ awsAccountId: '111122223333', credentials }]
  writeFileSync(file, stringify({ accounts, tokens, ...rest }), { mode: 0o600 })
  return loadConfig(file, {}, CONFIG_CHECKS)
}

function problemsOf(tokens: readonly object[], rest: object = {}): readonly string[] {
  try {
    load(tokens, rest)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

describe('several tokens', () => {
  it('are 1 to 16, of different names', () => {
    const many = Array.from({ length: 17 }, (_, index) => token(`t${index}`))
    expect(load(many.slice(0, 16)).tokens).toHaveLength(16)
    expect(problemsOf(many)).toEqual([expect.stringMatching(/^tokens: /)])
    expect(problemsOf([token('a'), token('a', { label: 'b' })])).toEqual(['tokens.1.name: a is there twice.'])
  })

  it('get new keys as configured, by a name that is there', () => {
    const rest = { keys: { tokenForNewKeys: 'b' } }
    expect(load([token('a'), token('b')], rest).keys.tokenForNewKeys).toBe('b')
    expect(problemsOf([token('a'), token('c')], rest)).toEqual([
      'keys.tokenForNewKeys: No token is named b; there are: a, c.',
    ])
  })

  it.each(['module.so', 'symlink.so', 'hardlink.so'])(
    'are not one token under two names, through %s',
    (module) => {
      expect(
        problemsOf([token('a'), token('b', { module, uri: 'pkcs11:token=a', label: undefined })]),
      ).toEqual(['tokens.1: It is the same token as tokens.0: a token is configured once.'])
    },
  )

  it('may have one label in two modules, or two in one', () => {
    expect(
      load([token('a', { label: 'x' }), token('b', { label: 'x', module: 'other.so' })]).tokens,
    ).toHaveLength(2)
    expect(load([token('a'), token('b', { module: 'symlink.so' })]).tokens).toHaveLength(2)
  })

  it('cannot want one variable of the environment with two values, which are not told', () => {
    const tokens = ['value-1', 'value-2', 'value-1'].map((value, index) =>
      token(`t${index}`, { environment: { VENDOR_CONF: value, [`OWN_${index}`]: value } }),
    )
    const problems = problemsOf(tokens)
    expect(problems).toEqual([expect.stringMatching(/^tokens\.1\.environment\.VENDOR_CONF: .*tokens\.0/)])
    expect(problems.join()).not.toContain('value-')
  })

  it('may have a replica each, held to the same rules', () => {
    const of = (changes: object) => {
      const { name: _, ...connection } = token('r', changes)
      return connection
    }
    const config = load([token('a', { replica: of({ module: 'other.so' }) })])
    expect(config.tokens[0]?.replica).toMatchObject({
      module: join(folder, 'other.so'),
      pin: { file: join(folder, 'secret') },
      failbackDelayMs: 5000,
    })
    expect(problemsOf([token('a', { replica: of({ label: 'a' }) })])).toEqual([
      'tokens.0.replica: It is the same token as tokens.0: a token is configured once.',
    ])
    const wrong = of({ module: 'gone.so', pin: { file: 'gone' }, environment: { X: '1' } })
    const problems = problemsOf([token('a', { environment: { X: '2' }, replica: wrong })])
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'tokens.0.replica.pin',
      'tokens.0.replica.module',
      'tokens.0.replica.environment.X',
    ])
    expect(problemsOf([token('a', { replica: { name: 'x' } })]).join()).toContain('tokens.0.replica')
  })

  it('cannot initialize one module in two ways', () => {
    const [one, two] = [token('a', { libraryParameters: 'x' }), token('b', { libraryParameters: 'y' })]
    expect(problemsOf([one, two])).toEqual([expect.stringMatching(/^tokens\.1\.libraryParameters: /)])
    expect(problemsOf([one, { ...two, module: 'other.so' }])).toEqual([])
    expect(problemsOf([one, { ...two, libraryParameters: 'x' }])).toEqual([])
  })

  it('cannot read two secrets from one descriptor', () => {
    expect(problemsOf([token('a', { pin: { fd: 3 } }), token('b', { pin: { fd: 3 } })])).toEqual([
      'tokens.1.pin: The descriptor is that of tokens.0.pin too, and can be read once.',
    ])
  })
})
