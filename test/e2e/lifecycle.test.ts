import { execFile, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  DecryptCommand,
  DescribeKeyCommand,
  GenerateDataKeyCommand,
  GenerateRandomCommand,
} from '@aws-sdk/client-kms'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  freePort,
  type Gateway,
  MAIN,
  newHome,
  removeHome,
  sdkClient,
  startGateway,
} from '../support/gateway.ts'

const run = promisify(execFile)

/** Runs the binary to its end. */
async function p11kms(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  try {
    const env = { ...process.env, ...environment }
    const { stdout, stderr } = await run(process.execPath, [MAIN, ...args], { env, timeout: 20_000 })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, stdout, stderr }
  }
}

let home: string
const gateways: Gateway[] = []

async function start(options: { port?: number; environment?: NodeJS.ProcessEnv } = {}): Promise<Gateway> {
  const gateway = await startGateway({ home, ...options })
  gateways.push(gateway)
  return gateway
}

beforeEach(() => {
  home = newHome()
})
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.stop('SIGKILL')))
  removeHome(home)
})

describe('the quick start', () => {
  it('can be run again: same key, same credentials, old blobs open, ready within five seconds', async () => {
    const first = await start()
    const kms = sdkClient(first.env)
    const made = await kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' }))
    kms.destroy()
    expect(await first.stop()).toBe(0)

    const before = Date.now()
    const second = await start()
    expect(Date.now() - before).toBeLessThan(5000)
    const kept = Object.entries(first.env).filter(([name]) => !name.includes('ENDPOINT'))
    expect(second.env).toMatchObject(Object.fromEntries(kept))
    const again = sdkClient(second.env)
    const opened = await again.send(new DecryptCommand({ CiphertextBlob: made.CiphertextBlob }))
    expect(opened.Plaintext).toEqual(made.Plaintext)
    again.destroy()
  })

  it('keeps its home to its owner', async () => {
    await start()
    expect(statSync(home).mode & 0o077).toBe(0)
    for (const file of [
      'env',
      'config.yaml',
      'store.sqlite',
      'secrets/user-pin',
      'secrets/secret-access-key',
    ]) {
      expect(statSync(join(home, file)).mode & 0o077, file).toBe(0)
    }
  })

  it('prints the endpoint, the env file and three commands to try', async () => {
    const gateway = await start()
    expect(gateway.output()).toContain(`p11kms serves on ${gateway.endpoint}`)
    expect(gateway.output()).toContain(join(home, 'env'))
    expect(gateway.output()).toMatch(/aws kms generate-data-key/)
    expect(gateway.output()).toMatch(/@aws-sdk\/client-kms/)
    expect(gateway.output()).not.toContain(gateway.env['AWS_SECRET_ACCESS_KEY'])
  })

  it('refuses a second process on the same home, and says which address is taken', async () => {
    const gateway = await start()
    const second = await p11kms(['quickstart', '--home', home, '--port', '0'])
    expect(second.code).toBe(69)
    expect(second.stderr).toContain('Another p11kms process')
    const port = new URL(gateway.endpoint).port
    const elsewhere = newHome()
    const taken = await p11kms(['quickstart', '--home', elsewhere, '--port', port])
    removeHome(elsewhere)
    expect(taken.code).toBe(69)
    expect(taken.stderr).toMatch(/EADDRINUSE.*--port/)
  })
})

describe('SIGTERM and SIGINT', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s finishes the requests in flight and ends with 0',
    async (signal) => {
      const gateway = await start()
      const kms = sdkClient(gateway.env, { maxAttempts: 1 })
      const results: Promise<string>[] = []
      const request = () =>
        kms.send(new GenerateRandomCommand({ NumberOfBytes: 1024 })).then(
          () => 'answered',
          (error) => (error.code === 'ECONNREFUSED' ? 'refused' : `lost: ${error.name} ${error.message}`),
        )
      const until = Date.now() + 400
      const pump = async () => {
        while (Date.now() < until) {
          const result = request()
          results.push(result)
          await result
        }
      }
      const pumps = Promise.all(Array.from({ length: 16 }, pump))
      await sleep(200)
      expect(await gateway.stop(signal)).toBe(0)
      await pumps
      const counted = await Promise.all(results)
      expect(counted.filter((result) => result === 'answered').length).toBeGreaterThan(10)
      // A request that was written to a connection just as it was closed may be lost: SDKs retry it. None that was read may.
      expect(counted.filter((result) => result.startsWith('lost')).length).toBeLessThanOrEqual(16)
      expect(gateway.output()).toContain('"msg":"stopped"')
      kms.destroy()
    },
  )

  it('a request whose body is still coming is finished', async () => {
    const gateway = await start()
    const { port } = new URL(gateway.endpoint)
    const socket = connect(Number(port), '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.write(
      'POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Length: 2\r\n\r\n{',
    )
    await sleep(150)
    const ended = gateway.stop()
    await sleep(150)
    socket.write('}')
    await closed
    expect(await ended).toBe(0)
    expect(Buffer.concat(chunks).toString()).toContain('MissingAuthenticationTokenException')
  })
})

describe('a token that is absent', () => {
  const readyz = async (gateway: Gateway) => {
    const response = await fetch(`${gateway.endpoint}/readyz`)
    return { status: response.status, body: await response.text() }
  }
  const eventually = async (check: () => Promise<boolean>, timeoutMs = 10_000) => {
    for (const until = Date.now() + timeoutMs; Date.now() < until; await sleep(100)) if (await check()) return
    throw new Error('it did not come about in time')
  }

  it('at start: /readyz says why, calls are retryable, and it recovers when the token appears', async () => {
    const first = await start()
    const keyId = first.env['P11KMS_KEY_ID']
    expect(await first.stop()).toBe(0)
    renameSync(join(home, 'tokens'), join(home, 'tokens.away'))
    mkdirSync(join(home, 'tokens'))

    const port = await freePort()
    const child = spawn(
      process.execPath,
      [MAIN, 'serve', '--config', join(home, 'config.yaml'), '--port', String(port)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const gateway = { endpoint: `http://127.0.0.1:${port}` } as Gateway
    try {
      await eventually(
        async () => (await fetch(`${gateway.endpoint}/healthz`).catch(() => undefined))?.ok === true,
      )
      const down = await readyz(gateway)
      expect(down.status).toBe(503)
      expect(down.body).toContain('p11kms')
      const kms = sdkClient({ ...first.env, AWS_ENDPOINT_URL_KMS: gateway.endpoint }, { maxAttempts: 1 })
      await expect(
        kms.send(new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256' })),
      ).rejects.toMatchObject({ name: 'KeyUnavailableException', $metadata: { httpStatusCode: 500 } })
      // What needs no token still works.
      expect((await kms.send(new DescribeKeyCommand({ KeyId: keyId }))).KeyMetadata?.Enabled).toBe(true)

      renameSync(join(home, 'tokens'), join(home, 'tokens.empty'))
      renameSync(join(home, 'tokens.away'), join(home, 'tokens'))
      await eventually(async () => (await readyz(gateway)).status === 200)
      const made = await kms.send(new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: 'AES_256' }))
      expect(made.Plaintext).toHaveLength(32)
      kms.destroy()
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('while serving: /readyz falls, answers are retryable, and it comes back by itself', async () => {
    const gateway = await start()
    const kms = sdkClient(gateway.env, { maxAttempts: 1 })
    const use = () => kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' }))
    const isUp = async () => {
      const text = await (await fetch(`${gateway.endpoint}/metrics`)).text()
      return /^p11kms_token_up\{token="softhsm",member="primary"\} (\d)$/m.exec(text)?.[1]
    }
    expect((await readyz(gateway)).status).toBe(200)
    expect(await isUp()).toBe('1')
    renameSync(join(home, 'tokens'), join(home, 'tokens.away'))
    await eventually(async () => (await readyz(gateway)).status === 503)
    await eventually(async () => (await isUp()) === '0')
    await expect(use()).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } })
    renameSync(join(home, 'tokens.away'), join(home, 'tokens'))
    await eventually(async () => (await readyz(gateway)).status === 200)
    await eventually(() =>
      use().then(
        () => true,
        () => false,
      ),
    )
    kms.destroy()
  })
})

describe('what the operator got wrong', () => {
  it('is told all at once, with exit code 78, before anything is served', async () => {
    const config = join(home, 'config.yaml')
    writeFileSync(
      config,
      `server: { port: 99999 }
accounts: [{ awsAccountId: '1', credentials: [] }]
tokens: [{ name: t, module: /nowhere.so, pin: { file: /nowhere.pin } }]
surprise: true
`,
    )
    const served = await p11kms(['serve', '--config', config])
    expect(served.code).toBe(78)
    for (const path of [
      'server.port',
      'accounts.0.awsAccountId',
      'accounts.0.credentials',
      'tokens.0',
      'surprise',
    ]) {
      expect(served.stderr).toContain(path)
    }
    const checked = await p11kms(['config', 'check', '--json', '--config', config])
    expect(checked.code).toBe(78)
    expect(JSON.parse(checked.stdout)).toMatchObject({ ok: false, problems: expect.any(Array) })
  })

  it('names a store that is not a database, a folder that is missing and a PIN that is not there in one message', async () => {
    const gateway = await start()
    await gateway.stop()
    const config = join(home, 'config.yaml')
    const text = readFileSync(config, 'utf8')
    expect((await p11kms(['config', 'check', '--config', config])).code).toBe(0)
    writeFileSync(
      config,
      text.replace('store.sqlite', 'no-folder/store.sqlite').replace('secrets/user-pin', 'secrets/no-pin'),
    )
    const both = await p11kms(['serve', '--config', config])
    expect(both.code).toBe(78)
    expect(both.stderr).toMatch(/store\.path:[\s\S]*tokens\.0\.pin|tokens\.0\.pin:[\s\S]*store\.path/)
    writeFileSync(config, text)
    writeFileSync(join(home, 'store.sqlite'), 'this is not a database, whatever its name says. '.repeat(100))
    chmodSync(join(home, 'store.sqlite'), 0o600)
    const damaged = await p11kms(['serve', '--config', config])
    expect(damaged.code).toBe(78)
    expect(damaged.stderr).toContain('store.sqlite')
  })

  it('has help for every command, and exit code 64 for wrong arguments', async () => {
    for (const command of [[], ['serve'], ['quickstart'], ['config'], ['config', 'check']]) {
      const help = await p11kms([...command, '--help'])
      expect(help.code).toBe(0)
      expect(help.stdout).toContain('Usage: p11kms')
    }
    expect((await p11kms(['serve', '--port', 'many'])).code).toBe(64)
    expect((await p11kms(['quickstart', '--home', ''])).code).toBe(64)
    expect((await p11kms(['conquer'])).code).toBe(64)
    expect((await p11kms(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('an old Node', () => {
  it('is told which one is needed', async () => {
    const versions = '{ value: { ...process.versions, node: "20.20.2" } }'
    const pretend = `data:text/javascript,${encodeURIComponent(`Object.defineProperty(process, "versions", ${versions})`)}`
    const options = { env: { ...process.env, NODE_OPTIONS: `--import=${pretend}` } }
    const failed = run(process.execPath, [MAIN, '--version'], options)
    await expect(failed).rejects.toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/needs Node 24.*this is 20\.20\.2/),
    })
  })
})
