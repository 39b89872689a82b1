import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { CHECK_CODES, type Check } from '../../src/core/inspection/doctor-report.ts'
import { p11kms } from '../support/cli.ts'
import { freePort, type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'
import { type Chaos, makeChaos } from '../support/p11chaos.ts'
import { shapeOf } from '../support/shapes.ts'
import { describeWith, makeSoftHsm, SOFTHSM_MODULE, type SoftHsm, USER_PIN } from '../support/softhsm.ts'

/** The stable shape that docs/operating/doctor.md promises. */
const REPORT = z.strictObject({
  format: z.literal('p11kms.doctor/1'),
  config: z.string(),
  groups: z.array(
    z.strictObject({
      group: z.enum(['host', 'configuration', 'token', 'store', 'gateway']),
      token: z.string().optional(),
      checks: z.array(
        z
          .strictObject({
            state: z.enum(['ok', 'warn', 'fail']),
            code: z.enum(CHECK_CODES),
            message: z.string().min(1),
            next: z.string().min(1).optional(),
            ms: z.number().min(0).optional(),
          })
          // Whoever reads that something is wrong is told what to do.
          .refine(({ state, next }) => (state === 'ok') === (next === undefined)),
      ),
      capabilities: z.looseObject({ gcm: z.looseObject({ ivSource: z.string() }) }).optional(),
    }),
  ),
  summary: z.strictObject({ ok: z.int(), warn: z.int(), fail: z.int() }),
})

interface Examined {
  readonly code: number
  readonly checks: readonly Check[]
  of(code: Check['code']): Check | undefined
}

async function doctor(config: string, ...args: readonly string[]): Promise<Examined> {
  const { code, stdout, stderr } = await p11kms(['doctor', '--config', config, '--json', ...args])
  expect(stderr).toBe('')
  const { groups, summary } = REPORT.parse(JSON.parse(stdout))
  const checks = groups.flatMap((group) => group.checks as Check[])
  expect(summary.fail).toBe(checks.filter(({ state }) => state === 'fail').length)
  expect(code).toBe(summary.fail > 0 ? 1 : 0)
  expect(stdout).not.toContain(USER_PIN)
  return { code, checks, of: (wanted) => checks.find((check) => check.code === wanted) }
}

const troubles = ({ checks }: Examined) =>
  checks.flatMap(({ state, code }) => (state === 'ok' ? [] : [`${state} ${code}`]))

describe('doctor', () => {
  let home: string
  let gateway: Gateway
  const config = () => join(home, 'config.yaml')
  const original = () => readFileSync(config(), 'utf8')
  /** A configuration beside the home's own. */
  const changed = (change: (text: string) => string): string => {
    const file = join(home, 'changed.yaml')
    writeFileSync(file, change(original()))
    return file
  }

  beforeAll(async () => {
    home = newHome()
    gateway = await startGateway({ home })
  })
  afterAll(async () => {
    await gateway.stop('SIGKILL')
    removeHome(home)
  })

  it('finds everything in order beside a gateway that serves, and nothing there fails', async () => {
    const kms = sdkClient(gateway.env, { maxAttempts: 1 })
    const stop = new AbortController()
    const failures: unknown[] = []
    const pump = async () => {
      while (!stop.signal.aborted) {
        const use = kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' }))
        await use.catch((error: unknown) => failures.push(error))
      }
    }
    const load = Promise.all([pump(), pump()])
    try {
      const examined = await doctor(config())
      expect(troubles(examined)).toEqual([])
      expect(examined.of('GATEWAY')?.message).toContain(`a gateway serves on ${gateway.endpoint}`)
      expect(examined.of('GENERATE_DATA_KEY')).toMatchObject({
        message: 'GenerateDataKey: mode W0',
        ms: expect.any(Number),
      })
      expect(examined.of('GENERATE_DATA_KEY_WITHOUT_PLAINTEXT')?.message).toContain('mode W2')
      expect(examined.of('AES_GCM')?.message).toContain('CKR_GENERAL_ERROR')
      expect(examined.of('MASTER_KEY')).toBeUndefined()
      const full = await doctor(config(), '--full')
      // SoftHSM wraps no Ed25519 key, and the quick start allows host memory for that.
      expect(troubles(full)).toEqual(['warn GENERATE_DATA_KEY_PAIR'])
      expect(full.of('GENERATE_DATA_KEY_PAIR')?.message).toMatch(/RSA_2048: mode W2/)
      expect(full.checks.find(({ state }) => state === 'warn')?.message).toMatch(
        /ED25519: mode W0, in host memory/,
      )
    } finally {
      stop.abort()
      await load
      kms.destroy()
    }
    expect(failures).toEqual([])
    const inventory = await p11kms(['token', 'objects', 'softhsm', '--config', config()])
    expect(inventory.stdout).toContain(
      '2 objects, 2 of p11kms, 1 key versions in the store: 0 errors, 0 warnings',
    )
  })

  it('prints for people what the page on it shows', async () => {
    const page = readFileSync(new URL('../../docs/operating/doctor.md', import.meta.url), 'utf8')
    const sample = /```\n(p11kms doctor, with [\s\S]*?)```/.exec(page)?.[1] ?? ''
    const { code, stdout } = await p11kms(['doctor', '--config', config(), '--full'])
    expect(code).toBe(0)
    expect(shapeOf(stdout)).toBe(shapeOf(sample))
    // No colours where it does not go to a terminal.
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })

  it('finds the configuration of the quick start by itself', async () => {
    const { code, stdout } = await p11kms(['doctor'], { P11KMS_HOME: home })
    expect({ code, first: stdout.split('\n', 1)[0] }).toEqual({
      code: 0,
      first: `p11kms doctor, with ${config()}`,
    })
  })

  it('tells of a configuration that is not there, or not right', async () => {
    const nothing = await doctor('/nowhere/config.yaml')
    expect(nothing.of('CONFIG')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('scripts/start'),
    })
    const wrong = await doctor(changed((text) => text.replace('regions:', 'regoins:')))
    expect(troubles(wrong)).toContain('fail CONFIG')
    expect(wrong.of('CONFIG')?.message).toContain('regoins')
    // What is right is looked at all the same.
    expect(wrong.of('LOGIN')?.state).toBe('ok')
  })

  it('tells what is wrong with the file of a library', async () => {
    const foreign = join(home, 'foreign.so')
    const library = readFileSync(SOFTHSM_MODULE)
    library.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18)
    writeFileSync(foreign, library)
    const missing = join(home, 'needs-more.so')
    const needs = Buffer.from('libcrypto.so')
    const bytes = readFileSync(SOFTHSM_MODULE)
    bytes.write('libabsent.so', bytes.indexOf(needs))
    writeFileSync(missing, bytes)
    for (const [module, code, reason, next] of [
      ['/nowhere/lib.so', 'MODULE_FILE', /ENOENT/, /tokens\[\]\.module/],
      [config(), 'MODULE_FILE', /not a shared library/, /client library/],
      [home, 'MODULE_FILE', /is not a file/, /shared library itself/],
      [foreign, 'MODULE_FILE', /another machine \(64-bit/, new RegExp(process.arch)],
      [missing, 'LIBRARY', /libabsent\.so.*cannot open shared object file/, /ldd/],
    ] as const) {
      const examined = await doctor(changed((text) => text.replace(SOFTHSM_MODULE, module)))
      const check = examined.checks.find(({ state }) => state === 'fail')
      expect(check).toMatchObject({
        code,
        message: expect.stringMatching(reason),
        next: expect.stringMatching(next),
      })
    }
  })

  it('tells of settings that SoftHSM lacks', async () => {
    const unreadable = await doctor(
      changed((text) => text.replace(/SOFTHSM2_CONF: .*/, 'SOFTHSM2_CONF: /nowhere/softhsm2.conf')),
    )
    expect(unreadable.of('MODULE_SETTINGS')).toMatchObject({
      state: 'fail',
      next: expect.stringContaining('SOFTHSM2_CONF'),
    })
    const conf = join(home, 'other.conf')
    writeFileSync(conf, 'directories.tokendir = /nowhere/tokens\n')
    const folder = await doctor(
      changed((text) => text.replace(/SOFTHSM2_CONF: .*/, `SOFTHSM2_CONF: ${conf}`)),
    )
    expect(folder.of('MODULE_SETTINGS')?.message).toContain('/nowhere/tokens cannot be read and written')
  })

  it('tells which tokens there are when the configured one is not found', async () => {
    const examined = await doctor(changed((text) => text.replace('label: p11kms', 'label: prod')))
    expect(examined.of('TOKEN_FOUND')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('"prod"'),
      next: expect.stringMatching(/The library shows "p11kms" \(serial [0-9a-f]{16}\)/),
    })
  })

  it('tells of a PIN that cannot be read, or by too many', async () => {
    const examined = await doctor(changed((text) => text.replace('secrets/user-pin', 'secrets/none')))
    expect(examined.of('PIN_SOURCE')).toMatchObject({ state: 'fail', next: expect.stringContaining('0600') })
    expect(examined.of('TOKEN_STATE')?.state).toBe('ok')
    expect(examined.of('LOGIN')).toBeUndefined()
    chmodSync(join(home, 'secrets', 'user-pin'), 0o644)
    const open = await doctor(config())
    chmodSync(join(home, 'secrets', 'user-pin'), 0o600)
    expect(open.of('PIN_SOURCE')).toMatchObject({ state: 'warn', next: expect.stringContaining('chmod 600') })
  })

  it('tells of keys whose token is not configured, and of a store that is not one', async () => {
    const renamed = await doctor(changed((text) => text.replace('name: softhsm', 'name: other')))
    expect(renamed.of('STORE_KEYS')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('"softhsm"'),
    })
    const broken = await doctor(changed((text) => text.replace('path: store.sqlite', 'path: config.yaml')))
    expect(broken.of('STORE_FILE')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('not an SQLite'),
    })
  })

  it('tells what is at the address when it is no gateway, or nothing', async () => {
    const elsewhere = join(home, 'elsewhere')
    mkdirSync(elsewhere)
    const port = await freePort()
    const file = join(elsewhere, 'config.yaml')
    writeFileSync(file, `server: { port: ${port} }\n`)
    expect((await doctor(file)).of('GATEWAY')?.message).toContain('the port is free')
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('220 mail\r\n', () => socket.destroy())
    }).listen(port, '127.0.0.1')
    const examined = await doctor(file)
    await new Promise((resolve) => server.close(resolve))
    expect(examined.of('GATEWAY')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('does not speak HTTP'),
      next: expect.stringContaining(`:${port}`),
    })
  })
})

describeWith([SOFTHSM_MODULE], 'doctor on a token that is not well', () => {
  let softHsm: SoftHsm
  let chaos: Chaos
  let config: string

  beforeAll(() => {
    softHsm = makeSoftHsm()
    softHsm.initToken('ward')
    chaos = makeChaos(softHsm)
    const pin = join(softHsm.directory, 'pin')
    writeFileSync(pin, USER_PIN, { mode: 0o600 })
    writeFileSync(join(softHsm.directory, 'secret'), 'x'.repeat(40), { mode: 0o600 })
    config = join(softHsm.directory, 'config.yaml')
    writeFileSync(
      config,
      `server: { port: 0 }
accounts: [{ awsAccountId: '111122223333', credentials: [{ accessKeyId: AKIAEXAMPLEEXAMPLE00, secretAccessKey: { file: secret } }] }]
tokens: [{ name: ward, module: ${chaos.module}, label: ward, pin: { file: pin } }]
`,
    )
  })
  beforeEach(() => {
    chaos.clear()
    chaos.trace()
  })
  afterAll(() => softHsm?.remove())

  const calls = (name: string) => chaos.trace().filter((call) => call.function === name).length

  it('is fine with it as long as it is', async () => {
    expect(troubles(await doctor(config))).toEqual([])
    expect(calls('C_Login')).toBe(1)
  })

  it('looks at a replica as at any token, by a name of its own', async () => {
    softHsm.initToken('spare')
    const paired = join(softHsm.directory, 'paired.yaml')
    const replica = `replica: { module: ${chaos.module}, label: spare, pin: { file: none } }`
    writeFileSync(
      paired,
      readFileSync(config, 'utf8').replace(/pin: { file: pin } }\]/, `pin: { file: pin }, ${replica} }]`),
    )
    const examined = await doctor(paired)
    expect(troubles(examined)).toEqual(['fail PIN_SOURCE'])
    expect(
      examined.checks.filter(({ code }) => code === 'TOKEN_FOUND').map(({ message }) => message),
    ).toEqual([expect.stringContaining('"ward"'), expect.stringContaining('"spare"')])
    const info = await p11kms(['token', 'info', 'ward/replica', '--config', paired])
    expect(info).toMatchObject({ code: 0, stdout: expect.stringContaining('spare') })
  })

  it('tries a wrong PIN once, and says that it will not try it again', async () => {
    writeFileSync(join(softHsm.directory, 'pin'), 'wrong-pin', { mode: 0o600 })
    const examined = await doctor(config)
    writeFileSync(join(softHsm.directory, 'pin'), USER_PIN, { mode: 0o600 })
    expect(examined.of('LOGIN')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('CKR_PIN_INCORRECT'),
      next: expect.stringContaining('never tried twice'),
    })
    expect(calls('C_Login')).toBe(1)
  })

  it('tries no PIN that is locked', async () => {
    chaos.set('pin-locked')
    const examined = await doctor(config)
    expect(examined.of('TOKEN_STATE')).toMatchObject({
      state: 'fail',
      next: expect.stringContaining('security officer'),
    })
    expect(calls('C_Login')).toBe(0)
  })

  it.each(['C_Initialize', 'C_Login', 'C_EncryptInit'])(
    'is not held up by a library that hangs in %s',
    async (name) => {
      chaos.set(`hang ${name}`)
      const examined = await doctor(config, '--timeout', '2')
      expect(examined.checks.findLast(({ state }) => state === 'fail')).toMatchObject({
        code: 'LIBRARY',
        message: `The library hangs in ${name}: nothing came back in 2 s.`,
        next: expect.stringContaining('--timeout'),
      })
      expect(examined.of('STORE_FILE')?.state).toBe('ok')
    },
  )

  it('survives a library that crashes, and says where', async () => {
    chaos.set('crash C_GenerateKey')
    const examined = await doctor(config)
    expect(examined.of('LOGIN')?.state).toBe('ok')
    expect(examined.checks.find(({ state }) => state === 'fail')?.message).toBe(
      'The library crashed in C_GenerateKey (SIGSEGV).',
    )
  })

  it('reports what was tried on a token without AES-GCM', async () => {
    chaos.set('hide-mechanism CKM_AES_GCM')
    const examined = await doctor(config)
    expect(examined.of('AES_GCM')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('CKR_MECHANISM_INVALID'),
      next: expect.stringContaining('policy'),
    })
    expect(examined.of('GENERATE_DATA_KEY')).toBeUndefined()
  })

  it('reports operations that a token cannot do inside, and that the configuration does not allow in host memory', async () => {
    chaos.set('hide-mechanism CKM_AES_KEY_WRAP_PAD')
    const examined = await doctor(config)
    expect(troubles(examined)).toEqual(['warn KEY_WRAP', 'warn GENERATE_DATA_KEY_WITHOUT_PLAINTEXT'])
    expect(examined.of('GENERATE_DATA_KEY_WITHOUT_PLAINTEXT')?.next).toContain('allowHostMemory')
  })

  it('suggests more lanes for a slow token', async () => {
    chaos.set('latency C_Encrypt 5ms')
    const examined = await doctor(config)
    expect(examined.of('LANES')).toMatchObject({ state: 'warn', next: expect.stringContaining('lanes: 16') })
  })
})
