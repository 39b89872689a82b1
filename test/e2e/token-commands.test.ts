import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CreateKeyCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { p11kms } from '../support/cli.ts'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { describeWith, inOtherProcess, SOFTHSM_MODULE, SPY_MODULE, USER_PIN } from '../support/softhsm.ts'

const count = z.union([z.int().min(0), z.enum(['unlimited', 'unknown'])])
const problem = z.strictObject({ reason: z.string(), next: z.string().optional() })
const library = z.strictObject({
  path: z.string(),
  manufacturer: z.string(),
  description: z.string(),
  version: z.string(),
  cryptokiVersion: z.string(),
})
const slot = z.strictObject({
  slotId: z.int(),
  description: z.string(),
  hardware: z.boolean(),
  problem: problem.optional(),
  token: z
    .strictObject({
      label: z.string(),
      serial: z.string(),
      manufacturer: z.string(),
      model: z.string(),
      firmware: z.string(),
      hardware: z.string(),
      flags: z.array(z.string().regex(/^[a-z-]+$/)),
      sessions: z.strictObject({ open: count, max: count, readWriteOpen: count, readWriteMax: count }),
      pinBytes: z.strictObject({ min: z.int(), max: z.int() }),
      clock: z.iso.datetime().optional(),
      uri: z.string().startsWith('pkcs11:').optional(),
      configuredAs: z.string().optional(),
    })
    .optional(),
})
/** The stable shapes that docs/cli.md promises. */
const LIST = z.strictObject({
  format: z.literal('p11kms.token-list/1'),
  modules: z.array(
    z.strictObject({
      module: z.string(),
      configured: z.array(z.string()),
      library: library.optional(),
      slots: z.array(slot),
      problem: problem.optional(),
    }),
  ),
})
const INFO = z.strictObject({
  format: z.literal('p11kms.token-info/1'),
  name: z.string(),
  library,
  slot,
  mechanisms: z.array(
    z.strictObject({
      name: z.string().regex(/^(CKM_|0x)/),
      number: z.int(),
      keySize: z.strictObject({ min: z.int(), max: z.int() }),
      flags: z.array(z.string()),
      usedFor: z.string().optional(),
    }),
  ),
})
const OBJECTS = z.strictObject({
  format: z.literal('p11kms.token-objects/1'),
  name: z.string(),
  library,
  slot,
  objects: z.array(
    z.strictObject({
      class: z.string().optional(),
      keyType: z.string().optional(),
      bits: z.int().optional(),
      label: z.string().optional(),
      id: z
        .string()
        .regex(/^[0-9a-f]+$/)
        .optional(),
      attributes: z.record(z.string(), z.boolean()),
      ours: z
        .strictObject({
          keyId: z.string(),
          versionNumber: z.int().min(1),
          role: z.enum(['enc', 'wrap']),
          versionId: z.string().optional(),
          state: z.string().optional(),
        })
        .optional(),
    }),
  ),
  findings: z.array(
    z.strictObject({
      severity: z.enum(['error', 'warning', 'info']),
      code: z.string().regex(/^[A-Z_]+$/),
      message: z.string(),
      next: z.string(),
      object: z.int().optional(),
      keyId: z.string().optional(),
    }),
  ),
  summary: z.strictObject({
    objects: z.int(),
    ours: z.int(),
    versionsInStore: z.int().optional(),
    errors: z.int(),
    warnings: z.int(),
    infos: z.int(),
  }),
})

const EXTRACTABLE_KEY = `
p11.C_GenerateKey(session, { mechanism: 0x1080 }, [
  { type: 0x1, value: true }, { type: 0x161, value: 32 }, { type: 0x162, value: true },
  { type: 0x3, value: 'kms/' + input.keyId + '/v7/enc' }, { type: 0x102, value: Buffer.from('4711', 'hex') },
])`

describe('the commands that look into tokens', () => {
  let home: string
  let gateway: Gateway
  const config = () => join(home, 'config.yaml')

  beforeAll(async () => {
    home = newHome()
    // A PIN that this test knows; the quick start keeps what is there.
    mkdirSync(join(home, 'secrets'), { recursive: true })
    writeFileSync(join(home, 'secrets', 'user-pin'), `${USER_PIN}\n`, { mode: 0o600 })
    gateway = await startGateway({ home })
    process.env['SOFTHSM2_CONF'] = join(home, 'softhsm2.conf')
  })
  afterAll(async () => {
    await gateway.stop('SIGKILL')
    removeHome(home)
  })

  it('list shows the configured tokens with a URI that selects them, without a PIN', async () => {
    const { code, stdout, stderr } = await p11kms(['token', 'list', '--config', config(), '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { modules } = LIST.parse(JSON.parse(stdout))
    const ours = modules[0]?.slots.find(({ token }) => token?.configuredAs === 'softhsm')
    expect(modules[0]?.configured).toEqual(['softhsm'])
    expect(ours?.token).toMatchObject({
      label: 'p11kms',
      flags: expect.arrayContaining(['initialized', 'login-required', 'user-pin-initialized', 'rng']),
      sessions: { open: 'unknown', max: 'unlimited', readWriteOpen: 'unknown', readWriteMax: 'unlimited' },
    })
    const human = await p11kms(['token', 'list', '--config', config()])
    expect(human.stdout).toContain(`uri               ${ours?.token?.uri}`)
    expect(human.stdout).toContain('configured as     softhsm')
    expect(human.stdout).toContain('flags             not initialized')

    const byUri = join(home, 'by-uri.yaml')
    const text = readFileSync(config(), 'utf8')
    writeFileSync(byUri, text.replace('label: p11kms', `uri: ${ours?.token?.uri}`))
    const again = await p11kms(['token', 'info', 'softhsm', '--config', byUri, '--json'])
    expect(INFO.parse(JSON.parse(again.stdout)).slot.token?.serial).toBe(ours?.token?.serial)
  })

  it('list looks into a module that no configuration names', async () => {
    const seen = await p11kms(['token', 'list', '--module', SOFTHSM_MODULE, '--json'])
    expect(LIST.parse(JSON.parse(seen.stdout)).modules[0]).toMatchObject({
      configured: [],
      module: SOFTHSM_MODULE,
    })
    for (const [path, reason] of [
      ['/nowhere/lib.so', 'ENOENT'],
      [process.execPath, 'cannot be loaded'],
      [config(), 'ELF'],
    ] as const) {
      const { code, stdout } = await p11kms(['token', 'list', '--module', path])
      expect(code).toBe(69)
      expect(stdout).toContain('FAIL')
      expect(stdout).toContain(reason)
      expect(stdout).toContain('ldd')
    }
  })

  it('info shows the mechanisms of one token and which of them are used', async () => {
    const { code, stdout } = await p11kms(['token', 'info', 'softhsm', '--config', config(), '--json'])
    expect(code).toBe(0)
    const { mechanisms } = INFO.parse(JSON.parse(stdout))
    expect(mechanisms.find(({ name }) => name === 'CKM_AES_GCM')).toMatchObject({
      flags: ['encrypt', 'decrypt'],
      usedFor: 'seals data keys',
    })
    const used = new Map(mechanisms.map(({ name, usedFor }) => [name, usedFor]))
    expect([used.get('CKM_ECDSA'), used.get('CKM_SHA256_HMAC')]).toEqual(['signs', 'makes MACs'])
    expect(used.get('CKM_EC_KEY_PAIR_GEN')).toContain('makes key pairs')
    expect(used.get('CKM_AES_CTR')).toBeUndefined()
    const human = await p11kms(['token', 'info', 'softhsm', '--config', config()])
    expect(human.stdout).toMatch(/used by p11kms:\n(\s+CKM_.*\n)*\s+CKM_AES_GCM .*seals data keys/)
    const unknown = await p11kms(['token', 'info', 'other', '--config', config()])
    expect(unknown).toMatchObject({ code: 78, stderr: expect.stringContaining('there is softhsm') })
    const nothing = await p11kms(['token', 'info', 'softhsm', '--config', '/nowhere.yaml'])
    expect(nothing).toMatchObject({ code: 78, stderr: expect.stringContaining('--config') })
  })

  it('objects finds nothing wrong beside a gateway that makes keys and serves, and nothing there fails', async () => {
    const kms = sdkClient(gateway.env, { maxAttempts: 1 })
    const stop = new AbortController()
    const failures: unknown[] = []
    let made = 0
    const pump = async (work: () => Promise<unknown>) => {
      while (!stop.signal.aborted) {
        await work().then(
          () => made++,
          (error: unknown) => failures.push(error),
        )
      }
    }
    const load = Promise.all([
      pump(() => kms.send(new CreateKeyCommand({}))),
      pump(() => kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' }))),
    ])
    try {
      for (let round = 0; round < 6; round++) {
        const { code, stdout, stderr } = await p11kms([
          'token',
          'objects',
          'softhsm',
          '--config',
          config(),
          '--json',
        ])
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        const { summary, findings } = OBJECTS.parse(JSON.parse(stdout))
        expect(findings.filter(({ severity }) => severity !== 'info')).toEqual([])
        expect(summary.ours).toBe(summary.objects)
      }
    } finally {
      stop.abort()
      await load
      kms.destroy()
    }
    expect(failures).toEqual([])
    expect(made).toBeGreaterThan(20)
    const settled = OBJECTS.parse(
      JSON.parse((await p11kms(['token', 'objects', 'softhsm', '--config', config(), '--json'])).stdout),
    )
    expect(settled.findings).toEqual([])
    expect(settled.summary.objects).toBe(2 * (settled.summary.versionsInStore ?? 0))
  })

  it('objects ends with 1 when it finds an error, says what to do, and leaves the store as it is', async () => {
    const keyId = crypto.randomUUID()
    inOtherProcess('p11kms', EXTRACTABLE_KEY, { keyId })
    const human = await p11kms(['token', 'objects', 'softhsm', '--config', config()])
    expect(human.code).toBe(1)
    expect(human.stdout).toMatch(
      /error\s+EXTRACTABLE\n\s+kms\/.* can be extracted from the token\.\n\s+Next: Take the key/,
    )
    expect(human.stdout).toMatch(/warning\s+OBJECT_WITHOUT_ROW/)
    const without = await p11kms([
      'token',
      'objects',
      'softhsm',
      '--config',
      config(),
      '--no-store',
      '--json',
    ])
    expect(without.code).toBe(1)
    const codes = OBJECTS.parse(JSON.parse(without.stdout)).findings.map(({ code }) => code)
    expect(codes).toContain('EXTRACTABLE')
    expect(codes).not.toContain('OBJECT_WITHOUT_ROW')
  })

  it('objects reads the store of a stopped service without a trace, and goes on without one', async () => {
    await gateway.stop()
    const folder = () => readdirSync(home).filter((name) => name.startsWith('store'))
    const before = folder()
    expect(before).toContain('store.sqlite')
    const read = await p11kms(['token', 'objects', 'softhsm', '--config', config(), '--json'])
    expect(OBJECTS.parse(JSON.parse(read.stdout)).summary.versionsInStore).toBeGreaterThan(1)
    expect(folder()).toEqual(before)
    const elsewhere = await p11kms(['token', 'objects', 'softhsm', '--config', config(), '--json'], {
      P11KMS_STORE_PATH: join(home, 'nothing.sqlite'),
    })
    const { findings } = OBJECTS.parse(JSON.parse(elsewhere.stdout))
    expect(findings.find(({ code }) => code === 'STORE_NOT_READ')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('nothing.sqlite'),
      next: expect.stringContaining('--no-store'),
    })
    expect(readdirSync(home)).not.toContain('nothing.sqlite')
  })
})

describeWith(
  [SOFTHSM_MODULE, SPY_MODULE],
  'the commands that look into tokens, on a token that is not well',
  () => {
    let home: string
    const trace = () => join(home, 'trace')
    const spied = () => ({ PKCS11SPY: SOFTHSM_MODULE, PKCS11SPY_OUTPUT: trace() })
    const config = () => join(home, 'spied.yaml')

    beforeAll(async () => {
      home = newHome()
      await (await startGateway({ home })).stop()
      const text = readFileSync(join(home, 'config.yaml'), 'utf8')
      writeFileSync(config(), text.replace(/module: \S+/, `module: ${SPY_MODULE}`))
    })
    afterAll(() => removeHome(home))

    const logins = () => readFileSync(trace(), 'utf8').split('C_Login').length - 1

    it('a wrong PIN is tried once, and the next step is told', async () => {
      const objects = ['token', 'objects', 'softhsm', '--config', config()]
      expect((await p11kms(objects, spied())).code).toBe(0)
      expect(logins()).toBe(1)
      writeFileSync(trace(), '')
      writeFileSync(join(home, 'secrets', 'user-pin'), 'wrong-pin\n', { mode: 0o600 })
      const { code, stdout, stderr } = await p11kms(objects, spied())
      expect({ code, stdout }).toEqual({ code: 69, stdout: '' })
      expect(stderr).toMatch(/CKR_PIN_INCORRECT.*never tried twice/)
      expect(stderr).not.toContain('wrong-pin')
      expect(logins()).toBe(1)
    })

    it('a library that hangs is told by the call it hangs in, and the command ends', async () => {
      // Nobody reads the pipe that the spy writes its trace to.
      execFileSync('mkfifo', [join(home, 'pipe')])
      const environment = { ...spied(), PKCS11SPY_OUTPUT: join(home, 'pipe') }
      const args = ['token', 'info', 'softhsm', '--config', config(), '--timeout', '2']
      const { code, stderr } = await p11kms(args, environment)
      expect(code).toBe(69)
      expect(stderr).toMatch(/The library hangs in dlopen: nothing came back in 2 s\. .*--timeout/)
    })
  },
)
