import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/config/config-error.ts'
import { readFirstSecrets } from '../../../src/config/first-secrets.ts'
import { handSecrets } from '../../../src/config/handed-secrets.ts'
import { prepareHome } from '../../../src/config/home.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { readSecret } from '../../../src/config/secrets.ts'

const KEY_ID = '11111111-2222-4333-8444-555555555555'
let folder: string
let configFile: string
let seedFile: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'p11kms-seed-'))
  configFile = join(folder, 'config.yaml')
  seedFile = join(folder, 'seed.yaml')
  writeFileSync(join(folder, 'secret'), 'secret of the configuration\n', { mode: 0o600 })
  writeFileSync(join(folder, 'module.so'), '')
  writeFileSync(
    configFile,
    `accounts: [{ awsAccountId: '111122223333', credentials: [{ accessKeyId: AKIACONFIGCONFIG0000, secretAccessKey: { file: secret } }] }]
tokens: [{ name: main, module: module.so, label: t, pin: { file: secret } }]
`,
  )
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function load(seed: string, environment: NodeJS.ProcessEnv = {}) {
  writeFileSync(seedFile, seed, { mode: 0o600 })
  return loadConfig(configFile, { P11KMS_SEED: seedFile, ...environment }, [])
}

function problemsOf(seed: string): Readonly<Record<string, string>> {
  try {
    load(seed)
    return {}
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return Object.fromEntries(error.problems.map(({ path, message }) => [path, message]))
  }
}

describe('a seed', () => {
  it('adds accounts, credentials, regions and keys to the configuration', () => {
    writeFileSync(join(folder, 'other'), 'secret in a file\n', { mode: 0o600 })
    const config = load(`
regions: [eu-west-1, us-east-1]
accounts:
  - awsAccountId: '111122223333'
    credentials: [{ accessKeyId: AKIASEEDSEEDSEED0001, secretAccessKey: in the seed itself }]
  - awsAccountId: '444455556666'
    credentials: [{ accessKeyId: AKIASEEDSEEDSEED0002, secretAccessKey: { file: other }, sessionToken: token }]
    alibabaUid: '1234567890'
    alibabaCredentials: [{ accessKeyId: LTAIseedseedseedseed, accessKeySecret: of the other cloud }]
keys:
  - { keyId: ${KEY_ID}, aliases: [alias/payments] }
  - { keyId: 11111111-2222-4333-8444-666666666666, account: '444455556666', region: us-east-1, description: theirs }
`)
    expect(config.regions.map(({ name }) => name)).toEqual(['us-east-1', 'eu-west-1'])
    const credentials = config.accounts.map(({ awsAccountId, credentials: keys }) => [
      awsAccountId,
      keys.map(
        ({ accessKeyId, secretAccessKey }) => `${accessKeyId} ${readSecret(secretAccessKey).toString()}`,
      ),
    ])
    expect(credentials).toEqual([
      [
        '111122223333',
        ['AKIACONFIGCONFIG0000 secret of the configuration', 'AKIASEEDSEEDSEED0001 in the seed itself'],
      ],
      ['444455556666', ['AKIASEEDSEEDSEED0002 secret in a file']],
    ])
    const [, other] = config.accounts
    expect(other?.alibabaUid).toBe('1234567890')
    const [ofAlibaba] = other?.alibabaCredentials ?? []
    expect(ofAlibaba && readSecret(ofAlibaba.accessKeySecret).toString()).toBe('of the other cloud')
    expect(config.seedKeys).toMatchObject([
      { keyId: KEY_ID, accountId: '111122223333', region: 'eu-west-1', aliases: ['alias/payments'] },
      { accountId: '444455556666', region: 'us-east-1', description: 'theirs', aliases: [] },
    ])
  })

  it('may be empty, and is not there without its variable', () => {
    expect(load('').seedKeys).toBeUndefined()
    expect(loadConfig(configFile, {}, []).accounts).toHaveLength(1)
  })

  it('is refused with every problem of it, and none of its secrets', () => {
    const problems = problemsOf(`
surprise: 1
accounts:
  - { awsAccountId: 12, credentials: [{ accessKeyId: short, secretAccessKey: 5 }] }
keys:
  - { keyId: ABC, aliases: [payments, alias/aws/s3], tags: { 'aws:x': '' }, policy: { Statement: [] }, keySpec: DES }
`)
    expect(Object.keys(problems).toSorted()).toEqual([
      'seed',
      'seed.accounts.0.awsAccountId',
      'seed.accounts.0.credentials.0.accessKeyId',
      'seed.accounts.0.credentials.0.secretAccessKey',
      'seed.keys.0.aliases.0',
      'seed.keys.0.aliases.1',
      'seed.keys.0.keyId',
      'seed.keys.0.keySpec',
      'seed.keys.0.policy',
      'seed.keys.0.tags',
    ])
  })

  it('is refused where it does not fit: strange accounts and regions, ids, aliases and credentials that are there twice', () => {
    const problems = problemsOf(`
accounts:
  - { awsAccountId: '111122223333', credentials: [{ accessKeyId: AKIACONFIGCONFIG0000, secretAccessKey: one more }] }
  - { awsAccountId: '777788889999', alibabaCredentials: [{ accessKeyId: LTAIseedseedseedseed, accessKeySecret: x }] }
keys:
  - { keyId: ${KEY_ID}, account: '999999999999', aliases: [alias/a] }
  - { keyId: ${KEY_ID}, region: mars-1, aliases: [alias/b, alias/b] }
`)
    expect(problems).toEqual({
      seed: 'Account 777788889999 has no credential.',
      'seed.accounts.1.alibabaUid': expect.stringContaining('alibabaUid'),
      'seed.keys.0.account': expect.stringContaining('999999999999'),
      'seed.keys.1.region': expect.stringContaining('mars-1'),
      'seed.keys.1.keyId': `${KEY_ID} is there twice.`,
      'seed.keys.1.aliases.1': 'alias/b is there twice.',
      'accounts.0.credentials.1.accessKeyId': 'AKIACONFIGCONFIG0000 is there twice.',
    })
  })

  it('that is missing, or that others can write, is a problem of its own file', () => {
    expect(() => loadConfig(configFile, { P11KMS_SEED: join(folder, 'no.yaml') }, [])).toThrow(/no\.yaml/)
    expect(problemsOf('keys: [')).not.toEqual({})
  })

  it('hands secrets of its own to worker processes through descriptors, as it does those of others', () => {
    const config = load(
      `accounts: [{ awsAccountId: '111122223333', credentials: [{ accessKeyId: AKIASEEDSEEDSEED0001, secretAccessKey: literally }] }]`,
    )
    const handed = handSecrets(config, 4)
    expect(handed.secrets.map(String)).toEqual(['literally'])
    expect(handed.config.accounts[0]?.credentials[1]?.secretAccessKey).toEqual({ fd: 4 })
    expect(JSON.stringify(handed.config)).not.toContain('literally')
  })
})

describe('first secrets of a home', () => {
  const given = {
    P11KMS_FIRST_ACCESS_KEY_ID: 'AKIACICICICICICICICI',
    P11KMS_FIRST_SECRET_ACCESS_KEY: 'a-secret-of-the-pipeline',
    P11KMS_FIRST_ALIBABA_ACCESS_KEY_ID: 'LTAIcicicicicicicici',
    P11KMS_FIRST_ALIBABA_ACCESS_KEY_SECRET: 'another-secret-of-it',
    P11KMS_FIRST_USER_PIN: '',
  }
  const home = (environment: NodeJS.ProcessEnv) =>
    prepareHome(join(folder, 'home'), () => '/module.so', readFirstSecrets(environment))

  it('come from variables or files, and count when the home is made', () => {
    writeFileSync(join(folder, 'pin'), '123456\n', { mode: 0o600 })
    const made = home({ ...given, P11KMS_FIRST_SO_PIN_FILE: join(folder, 'pin') })
    expect(made).toMatchObject({
      accessKeyId: 'AKIACICICICICICICICI',
      secretAccessKey: 'a-secret-of-the-pipeline',
      alibabaAccessKeyId: 'LTAIcicicicicicicici',
      alibabaAccessKeySecret: 'another-secret-of-it',
    })
    expect(readSecret({ file: made.soPinFile }).toString()).toBe('123456')
    expect(readSecret({ file: made.userPinFile })).toHaveLength(24)
    expect(home(given)).toEqual(made)
    expect(home({})).toEqual(made)
  })

  it('that differ from what a home has are refused', () => {
    home({})
    expect(() => home(given)).toThrow(/access-key-id[\s\S]*P11KMS_FIRST_/)
  })

  it('that cannot be used are refused all at once, and are not shown', () => {
    const wrong = {
      P11KMS_FIRST_ACCESS_KEY_ID: 'x',
      P11KMS_FIRST_SECRET_ACCESS_KEY: 'with a space',
      P11KMS_FIRST_USER_PIN: '1234',
      P11KMS_FIRST_USER_PIN_FILE: '/pin',
      P11KMS_FIRST_SO_PIN_FILE: join(folder, 'nothing'),
    }
    try {
      readFirstSecrets(wrong)
      expect.unreachable()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      expect(error.problems.map(({ path }) => path)).toEqual([
        'P11KMS_FIRST_ACCESS_KEY_ID',
        'P11KMS_FIRST_SECRET_ACCESS_KEY',
        'P11KMS_FIRST_USER_PIN_FILE',
        'P11KMS_FIRST_SO_PIN_FILE',
      ])
      expect(error.message).not.toContain('with a space')
    }
  })
})
