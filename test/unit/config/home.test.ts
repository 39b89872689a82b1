import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { prepareHome, writeEnvFile } from '../../../src/config/home.ts'

const NOBODY = 65_534
let root: string
let folder: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'p11kms-home-'))
  folder = join(root, 'home')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const prepare = (path = folder) => prepareHome(path, () => '/usr/lib/softhsm/libsofthsm2.so')
const modeOf = (path: string) => statSync(path).mode & 0o777

function variables(envFile: string): Record<string, string> {
  const names = ['P11KMS_ENDPOINT', 'AWS_ENDPOINT_URL_KMS', 'AWS_ENDPOINT_URL_STS', 'P11KMS_CONFIG']
  const script = `. "$1"; printf "%s\\n" ${names.map((name) => `"$${name}"`).join(' ')}`
  const [endpoint = '', kms = '', sts = '', config = ''] = execFileSync('sh', ['-c', script, 'sh', envFile], {
    encoding: 'utf8',
  }).split('\n')
  return { endpoint, kms, sts, config }
}

describe('the home of the quick start', () => {
  it('is for its owner alone, also where it was not, and stays what it is when made again', () => {
    mkdirSync(join(folder, 'secrets'), { recursive: true })
    chmodSync(join(folder, 'secrets'), 0o755)
    chmodSync(folder, 0o777)
    const home = prepare()
    for (const path of [folder, join(folder, 'secrets'), join(folder, 'tokens')])
      expect(modeOf(path)).toBe(0o700)
    for (const path of [home.configFile, home.softhsmConf, home.userPinFile, home.soPinFile])
      expect(modeOf(path)).toBe(0o600)
    expect(prepare()).toEqual(home)
    expect(readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith('.part'))).toEqual(
      [],
    )
  })

  it.each(['', 'secrets', 'tokens'])('is refused when %j in it is a symbolic link', (inner) => {
    const elsewhere = join(root, 'elsewhere')
    mkdirSync(elsewhere, { mode: 0o755 })
    if (inner) mkdirSync(folder)
    symlinkSync(elsewhere, join(folder, inner).replace(/\/$/, ''))
    expect(() => prepare()).toThrow(/symbolic link/)
    expect(readdirSync(elsewhere)).toEqual([])
    expect(modeOf(elsewhere)).toBe(0o755)
  })

  it.each(['', 'secrets', 'tokens'])('is refused when %j in it is of another user', (inner) => {
    const isRoot = process.geteuid?.() === 0
    if (isRoot) {
      mkdirSync(join(folder, inner), { recursive: true })
      chownSync(join(folder, inner), NOBODY, NOBODY)
    }
    // Who is not root cannot give a folder away, and takes one of root's.
    expect(() => prepare(isRoot ? folder : '/usr')).toThrow(/another user/)
  })

  it('takes away what a crash left of a file, and refuses to write through a link', () => {
    mkdirSync(join(folder, 'secrets'), { recursive: true, mode: 0o700 })
    const part = join(folder, 'secrets', 'user-pin.part')
    writeFileSync(part, 'half', { mode: 0o666 })
    const home = prepare()
    expect(modeOf(home.userPinFile)).toBe(0o600)
    expect(readFileSync(home.userPinFile, 'utf8')).not.toContain('half')
    rmSync(home.userPinFile)
    symlinkSync(join(root, 'target'), part)
    expect(() => prepare()).toThrow(/user-pin\.part.*\n.*not a file that p11kms left/)
    expect(existsSync(join(root, 'target'))).toBe(false)
  })

  it.each(['with space and \'quotes"', 'back\\slash', 'größe', '$HOME; `id`'])('works as %s', (name) => {
    const home = prepare(join(root, name))
    expect(readFileSync(home.softhsmConf, 'utf8')).toContain(
      `directories.tokendir = ${join(root, name, 'tokens')}\n`,
    )
    const config = parse(readFileSync(home.configFile, 'utf8')) as {
      tokens: [{ environment: Record<string, string>; allowHostMemory: boolean }]
    }
    expect(config.tokens[0].environment).toEqual({ SOFTHSM2_CONF: home.softhsmConf })
    // Without it what AWS's documentation of imports shows does not work on SoftHSM.
    expect(config.tokens[0].allowHostMemory).toBe(true)
    writeEnvFile(home, 'http://127.0.0.1:7711', 'key')
    expect(variables(home.envFile)).toMatchObject({
      endpoint: 'http://127.0.0.1:7711',
      config: home.configFile,
    })
  })

  it.each(['a=b', 'a#b', 'a\nb', `${'x'.repeat(250)}/`.repeat(4)])(
    'is refused, before anything is made, where SoftHSM would cut its path: %j',
    (name) => {
      expect(() => prepare(join(root, name))).toThrow(/SoftHSM cannot use/)
      expect(readdirSync(root)).toEqual([])
    },
  )

  it('has a credential for Alibaba Cloud, which its env file exports', () => {
    const home = prepare()
    expect(home.alibabaAccessKeyId).toMatch(/^LTAI[A-Za-z0-9]{20}$/)
    expect(home.alibabaAccessKeySecret).toMatch(/^[A-Za-z0-9]{30}$/)
    expect(modeOf(join(folder, 'secrets', 'alibaba-access-key-secret'))).toBe(0o600)
    writeEnvFile(home, 'http://127.0.0.1:7711', 'key')
    const env = readFileSync(home.envFile, 'utf8')
    expect(env).toContain(`ALIBABA_CLOUD_ACCESS_KEY_ID='${home.alibabaAccessKeyId}'`)
    expect(env).toContain(`ALIBABA_CLOUD_ACCESS_KEY_SECRET='${home.alibabaAccessKeySecret}'`)
  })

  it('of an older release is given that credential, and keeps everything else of its configuration', () => {
    const home = prepare()
    const whole = readFileSync(home.configFile, 'utf8')
    const credential = 'credentials: [{ accessKeyId: AKIAEXAMPLEEXAMPLE00, secretAccessKey: { env: S } }]'
    const older = `# mine\nserver: { port: 1234 } # and this\naccounts:\n  - awsAccountId: '111122223333'\n    ${credential}\n  - awsAccountId: '999999999999'\n    ${credential}\n`
    writeFileSync(home.configFile, older, { mode: 0o600 })
    prepare()
    const completed = readFileSync(home.configFile, 'utf8')
    expect(completed).toContain('# mine\nserver: { port: 1234 } # and this\n')
    const { accounts } = parse(completed) as { accounts: Record<string, unknown>[] }
    expect(accounts[0]).toMatchObject({
      alibabaUid: '1111222233334444',
      alibabaCredentials: [
        {
          accessKeyId: home.alibabaAccessKeyId,
          accessKeySecret: { file: 'secrets/alibaba-access-key-secret' },
        },
      ],
    })
    expect(accounts[1]).not.toHaveProperty('alibabaUid')
    expect(parse(whole)).toMatchObject({ accounts: [{ alibabaUid: '1111222233334444' }] })
    for (const text of [
      completed,
      older.replace('credentials:', 'alibabaCredentials: []\n    credentials:'),
      'accounts: [',
      'a: 1\n',
    ]) {
      writeFileSync(home.configFile, text, { mode: 0o600 })
      prepare()
      expect(readFileSync(home.configFile, 'utf8')).toBe(text)
    }
  })

  it.each([
    ['http://0.0.0.0:7711', 'http://127.0.0.1:7711'],
    ['http://[::]:7711', 'http://[::1]:7711'],
    ['http://[::1]:1', 'http://[::1]:1'],
    ['http://10.0.0.0:80', 'http://10.0.0.0:80'],
  ])('says to clients, of %s, %s', (listening, endpoint) => {
    const home = prepare()
    writeEnvFile(home, listening, 'key')
    expect(variables(home.envFile)).toMatchObject({ endpoint, kms: endpoint, sts: endpoint })
  })
})
