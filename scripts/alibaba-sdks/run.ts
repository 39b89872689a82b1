/** Serves from a home of its own with a client key, and runs the programs that are named against it: `run.ts program…`. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createPublicKey, randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { Pkcs12Issuer } from '../../src/providers/client-keys/issuer.ts'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const PASSWORD = 'a-Password-1'

/** Starts the built program and waits until it says `text`. */
function start(args: readonly string[], text: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes(text)) resolve(child)
    })
    child.once('exit', () => reject(new Error(output)))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill()
  await ended
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The client key as its owner has it, and the public half in the configuration. */
async function addClientKey(home: string): Promise<string> {
  const clientKeyId = `KAAP.${randomUUID()}`
  const times = { notBefore: Date.now(), notAfter: Date.now() + 86_400_000 }
  const { publicKey, pkcs12 } = await new Pkcs12Issuer().issue({
    name: clientKeyId,
    password: PASSWORD,
    ...times,
  })
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
  writeFileSync(join(home, 'client.pem'), key.export({ type: 'spki', format: 'pem' }), { mode: 0o600 })
  const file = join(home, 'client-key.json')
  const content = { KeyId: clientKeyId, PrivateKeyData: pkcs12.toString('base64') }
  writeFileSync(file, JSON.stringify(content), { mode: 0o600 })
  const config = join(home, 'config.yaml')
  const parsed = parse(readFileSync(config, 'utf8')) as { accounts: { clientKeys?: object[] }[] }
  for (const account of parsed.accounts) account.clientKeys = [{ clientKeyId, publicKeyFile: 'client.pem' }]
  writeFileSync(config, stringify(parsed))
  return file
}

const home = mkdtempSync(join(tmpdir(), 'p11kms-alibaba-sdks-'))
try {
  await stop(await start(['quickstart', '--home', home, '--port', '0'], 'Ctrl-C stops it'))
  const keyFile = await addClientKey(home)
  const port = String(await freePort())
  const service = await start(
    ['serve', '--config', join(home, 'config.yaml'), '--port', port],
    '"msg":"serving"',
  )
  try {
    const keyId = /P11KMS_KEY_ID='([^']+)'/.exec(readFileSync(join(home, 'env'), 'utf8'))?.[1] ?? ''
    for (const program of process.argv.slice(2)) {
      const [command = '', ...args] = program.split(' ')
      execFileSync(command, [...args, `127.0.0.1:${port}`, keyFile, PASSWORD, keyId], { stdio: 'inherit' })
    }
  } finally {
    await stop(service)
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}
