import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { Pkcs12Issuer } from '../../../src/providers/client-keys/issuer.ts'
import { makeClientKey } from '../../../src/providers/client-keys/pkcs12.ts'
import { openPkcs12 } from '../../support/pkcs12.ts'

const PASSWORD = 'aB1~!@#$%^&*?_-'
const KEYS = 3
const folder = mkdtempSync(join(tmpdir(), 'p11kms-issuer-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const request = () => ({
  name: 'KAAP.one',
  password: PASSWORD,
  notBefore: Date.now(),
  notAfter: Date.now() + 86_400_000,
})

/** An issuer whose threads do this instead. */
const scripted = (code: string, timeoutMs?: number) =>
  new Pkcs12Issuer({
    thread: new URL(`data:text/javascript,${encodeURIComponent(code)}`),
    ...(timeoutMs !== undefined && { timeoutMs }),
  })

describe('a client key', () => {
  it('opens under its password, and its certificate is of its own public key', async () => {
    const { publicKey, pkcs12 } = await new Pkcs12Issuer().issue(request())
    const { certificate } = openPkcs12(pkcs12, PASSWORD)
    expect(certificate.publicKey.export({ type: 'spki', format: 'der' })).toEqual(publicKey)
    expect(certificate.subject).toBe('CN=KAAP.one')
    expect(() => openPkcs12(pkcs12, 'aB1~')).toThrow(/password/)
  })

  it('keeps the loop of this thread busy for a fraction of what making it takes', async () => {
    const startedAt = performance.now()
    for (let made = 0; made < KEYS; made++) makeClientKey(request())
    const takenMs = performance.now() - startedAt
    const before = performance.eventLoopUtilization()
    for (let made = 0; made < KEYS; made++) await new Pkcs12Issuer().issue(request())
    const { active } = performance.eventLoopUtilization(before)
    expect(active).toBeLessThan(takenMs / 3)
  })

  it('that a thread fails to make is a fault of the program, of which nothing tells the password', async () => {
    const failing = scripted(`throw new TypeError('no such thing')`)
    const error = await failing.issue(request()).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ message: expect.stringContaining('failed'), cause: { name: 'TypeError' } })
    expect(inspect(error, { depth: 9 })).not.toContain(PASSWORD)
    await expect(scripted('process.exit(3)').issue(request())).rejects.toMatchObject({
      cause: { message: expect.stringContaining('exit code 3') },
    })
    const greedy = scripted(`const all = []; for (;;) all.push(Array(1e5).fill(all.length))`)
    await expect(greedy.issue(request())).rejects.toMatchObject({
      cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
    })
  })

  it('is made no further once the issuer is closed', async () => {
    const issuer = scripted('setInterval(() => undefined, 1_000)', 600_000)
    const refused = expect(issuer.issue(request())).rejects.toMatchObject({
      message: expect.stringContaining('failed'),
    })
    await issuer.close()
    await refused
  })

  it('that takes too long may be asked for again, and its thread is ended', async () => {
    const file = join(folder, 'beats')
    const beating = `import { appendFileSync } from 'node:fs'
      for (;;) { appendFileSync(${JSON.stringify(file)}, '.'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5) }`
    await expect(scripted(beating, 1_000).issue(request())).rejects.toMatchObject({ code: 'ISSUER_BUSY' })
    const beats = readFileSync(file, 'utf8').length
    expect(beats).toBeGreaterThan(0)
    await sleep(50)
    expect(readFileSync(file, 'utf8')).toHaveLength(beats)
  })
})
