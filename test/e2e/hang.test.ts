import { execFileSync, spawn } from 'node:child_process'
import { closeSync, createReadStream, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { expect, it } from 'vitest'
import {
  freePort,
  MAIN,
  newHome,
  readEnvFile,
  removeHome,
  sdkClient,
  startGateway,
} from '../support/gateway.ts'
import { describeWith, SPY_MODULE } from '../support/softhsm.ts'

describeWith([SPY_MODULE], 'a PKCS#11 library that hangs', () => {
  it('costs callers no more than their time, then the process, which ends by itself', async () => {
    const home = newHome()
    const prepared = await startGateway({ home })
    await prepared.stop()
    const config = join(home, 'config.yaml')
    const text = readFileSync(config, 'utf8')
    const module = /module: (\S+)/.exec(text)?.[1] ?? ''
    const hasty = `    laneTimeoutMs: 500\n    lostLanesMax: 0\n    environment:\n`
    writeFileSync(config, text.replace(module, SPY_MODULE).replace('    environment:\n', hasty))

    // The spy writes its trace into a pipe that nobody empties once it is told to hang.
    const trace = join(home, 'trace')
    execFileSync('mkfifo', [trace])
    const keeper = openSync(trace, 'r+')
    const reader = createReadStream(trace).resume()
    const port = await freePort()
    const child = spawn(process.execPath, [MAIN, 'serve', '--config', config, '--port', String(port)], {
      env: { ...process.env, PKCS11SPY: module, PKCS11SPY_OUTPUT: trace },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
    const exited = new Promise<number | string | null>((resolve) =>
      child.once('exit', (code, signal) => resolve(code ?? signal)),
    )
    try {
      const endpoint = `http://127.0.0.1:${port}`
      const kms = sdkClient(
        { ...readEnvFile(join(home, 'env')), AWS_ENDPOINT_URL_KMS: endpoint },
        { maxAttempts: 1 },
      )
      const use = () => kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' }))
      for (let i = 0; i < 100 && !(await fetch(`${endpoint}/readyz`).catch(() => undefined))?.ok; i++)
        await sleep(100)
      expect((await use()).Plaintext).toHaveLength(32)

      reader.pause()
      const answers = new Set<string>()
      const gone = exited.then(() => true)
      for (let i = 0; i < 500 && !(await Promise.race([gone, sleep(20, false)])); i++) {
        answers.add(
          await use().then(
            () => 'answered',
            (error) => String(error.name),
          ),
        )
      }
      expect(await exited).toBe('SIGKILL')
      expect(answers).toContain('ThrottlingException')
      expect(output).toContain('giving up; start the process anew')
      expect(output).toContain('hangs inside the PKCS#11 library')
      kms.destroy()
    } finally {
      child.kill('SIGKILL')
      reader.destroy()
      closeSync(keeper)
      removeHome(home)
    }
  })
})
