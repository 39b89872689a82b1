import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readClientPublicKey } from '../../../src/config/client-keys.ts'
import { ConfigError } from '../../../src/config/config-error.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { Pkcs12Issuer } from '../../../src/providers/client-keys/issuer.ts'
import { openPkcs12 } from '../../support/pkcs12.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = (key: KeyObject) => key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' })

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'p11kms-client-keys-'))
  write('secret', 'swordfish-swordfish')
  write('module.so', '')
  write('client.pem', pem(rsa.publicKey))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string | Buffer): string {
  const file = join(folder, name)
  writeFileSync(file, content, { mode: 0o600 })
  return file
}

function load(...clientKeys: readonly object[]) {
  const account = {
    awsAccountId: '111122223333',
    credentials: [{ accessKeyId: 'AKIAEXAMPLEEXAMPLE00', secretAccessKey: { file: 'secret' } }],
    clientKeys,
  }
  const tokens = [{ name: 'main', module: 'module.so', label: 'prod', pin: { file: 'secret' } }]
  return loadConfig(write('config.yaml', JSON.stringify({ accounts: [account], tokens })), {}, [])
}

function problemsOf(...clientKeys: readonly object[]): readonly string[] {
  try {
    load(...clientKeys)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

const KEY = { clientKeyId: 'KAAP.one', publicKeyFile: 'client.pem' }

describe('client keys of the configuration', () => {
  it('name a file with a public key, from the folder of the configuration', () => {
    const publicKeyFile = join(folder, 'client.pem')
    expect(load(KEY).accounts[0]?.clientKeys).toEqual([{ clientKeyId: 'KAAP.one', publicKeyFile }])
    expect(readClientPublicKey(publicKeyFile).equals(rsa.publicKey)).toBe(true)
  })

  it('take a certificate as well', async () => {
    const times = { notBefore: Date.now(), notAfter: Date.now() + 86_400_000 }
    const issued = await new Pkcs12Issuer().issue({ name: 'KAAP.one', password: 'a-Password-1', ...times })
    const file = write('cert.pem', openPkcs12(issued.pkcs12, 'a-Password-1').certificate.toString())
    expect(readClientPublicKey(file).export({ type: 'spki', format: 'der' })).toEqual(issued.publicKey)
    expect(problemsOf({ ...KEY, publicKeyFile: 'cert.pem' })).toEqual([])
  })

  it.each([
    ['EC key', () => pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey), 'holds no RSA key'],
    [
      'short key',
      () => pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      'holds no RSA key',
    ],
    ['private key', () => pem(rsa.privateKey), 'holds a private key'],
    ['text', () => 'no key at all', 'holds neither a public key nor a certificate'],
    ['broken certificate', () => '-----BEGIN CERTIFICATE-----\nAAAA', 'holds neither a public key'],
    ['nothing', () => '', 'holds neither a public key nor a certificate'],
    ['too much', () => 'x'.repeat(65_537), 'is longer than'],
  ])('are refused with a file that holds %s', (_what, content, problem) => {
    write('other.pem', content())
    expect(problemsOf({ ...KEY, publicKeyFile: 'other.pem' })).toEqual([expect.stringContaining(problem)])
  })

  it('are refused where others may write the file, or it is not there', () => {
    chmodSync(join(folder, 'client.pem'), 0o666)
    expect(problemsOf(KEY)).toEqual([expect.stringContaining('accounts.0.clientKeys.0.publicKeyFile: file ')])
    expect(problemsOf({ ...KEY, publicKeyFile: 'none' })).toEqual([expect.stringContaining('ENOENT')])
  })

  it('are refused twice, with another id, or in a region that is none', () => {
    expect(problemsOf(KEY, KEY)).toEqual(['accounts.0.clientKeys.1.clientKeyId: KAAP.one is there twice.'])
    expect(problemsOf({ ...KEY, clientKeyId: 'AKIA.one' })).toEqual([expect.stringContaining('KAAP.')])
    expect(problemsOf({ ...KEY, region: 'cn-hangzhou' })).toEqual([
      'accounts.0.clientKeys.0.region: cn-hangzhou is none of the regions.',
    ])
  })
})
