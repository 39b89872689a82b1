import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/config/config-error.ts'
import { ENVIRONMENT_OVERRIDES } from '../../../src/config/environment.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'p11kms-config-'))
  writeFileSync(join(folder, 'secret'), 'swordfish-swordfish\n', { mode: 0o600 })
  writeFileSync(join(folder, 'module.so'), '')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const VALID = `
accounts:
  - awsAccountId: '111122223333'
    credentials:
      - accessKeyId: AKIAEXAMPLEEXAMPLE00
        secretAccessKey: { file: secret }
tokens:
  - name: main
    module: module.so
    label: prod
    pin: { file: secret }
`

function load(yaml: string, environment: NodeJS.ProcessEnv = {}) {
  const file = join(folder, 'config.yaml')
  writeFileSync(file, yaml, { mode: 0o600 })
  return loadConfig(file, environment, [])
}

function problemsOf(yaml: string): readonly string[] {
  try {
    load(yaml)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

describe('configuration', () => {
  it('is complete with accounts and tokens, and has absolute paths', () => {
    const config = load(VALID)
    expect(config.server).toMatchObject({ host: '127.0.0.1', port: 7711 })
    expect(config.regions).toEqual([{ name: 'us-east-1' }])
    expect(config.store.path).toBe(join(folder, 'store.sqlite'))
    expect(config.tokens[0]?.module).toBe(join(folder, 'module.so'))
    expect(config.tokens[0]?.pin).toEqual({ file: join(folder, 'secret') })
  })

  it('lets a token keep data keys inside, logs in as its user, and takes exceptions by their names', () => {
    const token = (more: string) => load(VALID.replace('label: prod', `label: prod\n    ${more}`)).tokens[0]
    expect(load(VALID).tokens[0]).toMatchObject({ allowHostMemory: false, userType: 'user' })
    expect(load(VALID).tokens[0]).not.toHaveProperty('libraryParameters')
    expect(token('allowHostMemory: true')).toMatchObject({ allowHostMemory: true })
    expect(token('userType: 2147483649')).toMatchObject({ userType: 0x8000_0001 })
    expect(token(`libraryParameters: "configdir='sql:/db' flags="`)).toMatchObject({
      libraryParameters: "configdir='sql:/db' flags=",
    })
    for (const role of ['0', '1', 'so', '4294967296']) {
      const problems = problemsOf(VALID.replace('label: prod', `label: prod\n    userType: ${role}`))
      expect(problems).toEqual([expect.stringContaining('tokens.0.userType')])
    }
  })

  it('lists every problem of a file at once, each with its path', () => {
    const problems = problemsOf(`
server: { port: 70000, prot: 1 }
log: { level: loud }
accounts:
  - awsAccountId: 12
    credentials: []
tokens:
  - { name: UPPER, module: m, pin: { file: a, env: B } }
`)
    const paths = problems.map((problem) => problem.split(':')[0])
    const expected = [
      'server.port',
      'server',
      'log.level',
      'accounts.0.awsAccountId',
      'accounts.0.credentials',
      'tokens.0.name',
      'tokens.0.pin',
    ]
    expect(paths).toEqual(expect.arrayContaining(expected))
    expect(problems.join('\n')).toContain('prot')
  })

  it('says what to write instead where a secret or a bare number is written out, and never what was written', () => {
    const inline = VALID.replaceAll('{ file: secret }', 'swordfish').replace("'111122223333'", '111122223333')
    const problems = problemsOf(inline)
    expect(problems).toEqual([
      'accounts.0.awsAccountId: An AWS account id has 12 digits; put it in quotes.',
      expect.stringMatching(
        /^accounts\.0\.credentials\.0\.secretAccessKey: Name where the secret is, such as/,
      ),
      expect.stringMatching(/^tokens\.0\.pin: Name where the secret is, such as \{ file: path \}/),
    ])
    expect(problems.join()).not.toContain('swordfish')
  })

  it('says of an empty file what it lacks', () => {
    expect(problemsOf('# nothing yet').map((problem) => problem.split(':')[0])).toEqual([
      'accounts',
      'tokens',
    ])
  })

  it('lists every file that is missing, and what is there twice', () => {
    const twice = VALID.replace(
      'tokens:',
      `  - awsAccountId: '111122223333'
    credentials: [{ accessKeyId: AKIAEXAMPLEEXAMPLE00, secretAccessKey: { env: NO_SUCH_VARIABLE_HERE } }]
tokens:`,
    ).replace('module: module.so', 'module: missing.so')
    const problems = problemsOf(twice).join('\n')
    expect(problems).toContain('accounts.1.awsAccountId: 111122223333 is there twice.')
    expect(problems).toContain('accounts.1.credentials.0.accessKeyId: AKIAEXAMPLEEXAMPLE00 is there twice.')
    expect(problems).toContain(
      'accounts.1.credentials.0.secretAccessKey: environment variable NO_SUCH_VARIABLE_HERE',
    )
    expect(problems).toContain('tokens.0.module')
  })

  it('adds what the layers concerned find, in the same message', () => {
    const file = join(folder, 'config.yaml')
    writeFileSync(
      file,
      VALID.replace('label: prod', 'label: prod\n    serial: 12').replace('secret }', 'gone }'),
    )
    const check = () => [{ path: 'store.path', message: 'The disk is on fire.' }]
    expect(() => loadConfig(file, {}, [check])).toThrow(/tokens\.0\.serial/)
    writeFileSync(file, VALID.replace('secretAccessKey: { file: secret }', 'secretAccessKey: { file: gone }'))
    expect(() => loadConfig(file, {}, [check])).toThrow(/2 problems[\s\S]*gone cannot be read[\s\S]*on fire/)
  })

  it('lists what is wrong with the sections that are well-formed beside what is ill-formed in the others', () => {
    const yaml = VALID.replace("'111122223333'", "'12'").replace('module: module.so', 'module: missing.so')
    expect(problemsOf(yaml).map((problem) => problem.split(':')[0])).toEqual([
      'accounts.0.awsAccountId',
      'tokens.0.module',
    ])
  })

  it('says which line of broken YAML is wrong, and what to do when there is no file', () => {
    expect(problemsOf('accounts: [').join()).toMatch(/line 1/)
    expect(problemsOf('a: 1\na: 2\n').join()).toMatch(/unique/)
    expect(() => loadConfig(join(folder, 'nowhere.yaml'), {}, [])).toThrow(/ENOENT.*--config/)
  })

  it.each([
    ['an alias without an anchor', 'accounts: *nobody\n', /alias.*nobody/],
    [
      'aliases that multiply',
      `${['a', 'b', 'c', 'd']
        .map(
          (name, i) =>
            `${name}: &${name} [${Array(9)
              .fill(i ? `*${'abc'[i - 1]}` : 1)
              .join()}]`,
        )
        .join('\n')}\n`,
      /alias/,
    ],
    ['nesting without end', '['.repeat(100_000), /stack|line 1/],
  ])('refuses %s as any other mistake', (_, yaml, message) => {
    expect(problemsOf(yaml).join()).toMatch(message)
  })

  it('never reads more of a file than it may have', () => {
    expect(problemsOf(`#${'x'.repeat(4 * 1024 * 1024)}`).join()).toContain('longer than 4194304 bytes')
    writeFileSync(join(folder, 'secret'), 'x'.repeat(8192))
    expect(problemsOf(VALID)).toEqual([])
    writeFileSync(join(folder, 'secret'), 'x'.repeat(8193))
    expect(problemsOf(VALID).join()).toContain('longer than 8192 bytes')
    expect(problemsOf(VALID.replaceAll('file: secret', 'file: /dev/zero')).join()).toContain('longer than')
  })

  it.each([0o400, 0o440, 0o444, 0o600, 0o640, 0o644])(
    'takes files of mode %o, as service managers make them',
    (mode) => {
      load(VALID)
      chmodSync(join(folder, 'secret'), mode)
      chmodSync(join(folder, 'config.yaml'), mode)
      expect(loadConfig(join(folder, 'config.yaml'), {}, []).accounts).toHaveLength(1)
    },
  )

  it.each([0o620, 0o602, 0o664, 0o666])('refuses files that others may write, mode %o', (mode) => {
    load(VALID)
    chmodSync(join(folder, 'secret'), mode)
    const refused = `${join(folder, 'secret')} can be changed by users other than its owner`
    expect(problemsOf(VALID).filter((problem) => problem.includes(refused))).toHaveLength(2)
    chmodSync(join(folder, 'secret'), 0o600)
    chmodSync(join(folder, 'config.yaml'), mode)
    expect(() => loadConfig(join(folder, 'config.yaml'), {}, [])).toThrow(/can be changed.*chmod go-w/)
  })

  it('never repeats a secret that was written into it by mistake', () => {
    const yaml = VALID.replace('pin: { file: secret }', 'pin: hunter2-hunter2')
    expect(problemsOf(yaml)).not.toEqual([])
    expect(problemsOf(yaml).join()).not.toContain('hunter2')
  })

  it('takes a secret from a file without its newline, and refuses an empty one', () => {
    writeFileSync(join(folder, 'secret'), '\n')
    expect(problemsOf(VALID)).toHaveLength(2)
    writeFileSync(join(folder, 'secret'), 'x\r\n')
    expect(problemsOf(VALID)).toEqual([])
  })

  it('says why a secret cannot be read', () => {
    rmSync(join(folder, 'secret'))
    mkdirSync(join(folder, 'secret'))
    expect(problemsOf(VALID).join()).toContain('EISDIR')
  })

  it('lets the environment override every setting that is listed, and only those', () => {
    const config = load(VALID, {
      P11KMS_SERVER_PORT: '0',
      P11KMS_SERVER_HOST: '0.0.0.0',
      P11KMS_LOG_LEVEL: 'debug',
      P11KMS_STORE_PATH: '/var/lib/p11kms/store.sqlite',
      P11KMS_ACCOUNTS: 'ignored',
    })
    expect(config.server).toMatchObject({ host: '0.0.0.0', port: 0 })
    expect(config.log.level).toBe('debug')
    expect(config.store.path).toBe('/var/lib/p11kms/store.sqlite')
    expect(() => load(VALID, { P11KMS_SERVER_PORT: 'many' })).toThrow(/server\.port/)
  })

  it('knows a variable for every scalar setting of every section', () => {
    const sections = ['server', 'log', 'store', 'keys', 'aws'] as const
    const settings = sections.flatMap((section) => {
      const inner = CONFIG_SCHEMA.shape[section].def.innerType
      return Object.keys(inner.shape).map((setting) => `${section}.${setting}`)
    })
    expect(ENVIRONMENT_OVERRIDES.map(({ section, setting }) => `${section}.${setting}`)).toEqual(settings)
  })
})
