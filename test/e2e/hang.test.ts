import { execFileSync } from 'node:child_process'
import { closeSync, createReadStream, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import { expect, it } from 'vitest'
import {
  isAlive,
  preparedHome,
  removeHome,
  type Service,
  sdkClient,
  startService,
} from '../support/gateway.ts'
import { describeWith, eventually, SPY_MODULE } from '../support/softhsm.ts'

interface Hanging {
  readonly service: Service
  /** Calls inside of the library do not come back from now on. */
  readonly hang: () => void
  readonly recover: () => void
  /** One call; what became of it. */
  readonly use: () => Promise<string>
}

/** A service whose library can be made to hang: the spy writes its trace into a pipe that nobody empties then. */
async function withHangingLibrary(workers: number, run: (hanging: Hanging) => Promise<void>): Promise<void> {
  const home = await preparedHome()
  const config = join(home, 'config.yaml')
  const text = readFileSync(config, 'utf8')
  const module = /module: (\S+)/.exec(text)?.[1] ?? ''
  const hasty = `    laneTimeoutMs: 500\n    lostLanesMax: 0\n    environment:\n`
  writeFileSync(config, text.replace(module, SPY_MODULE).replace('    environment:\n', hasty))
  const trace = join(home, 'trace')
  execFileSync('mkfifo', [trace])
  const keeper = openSync(trace, 'r+')
  const reader = createReadStream(trace).resume()
  const environment = { PKCS11SPY: module, PKCS11SPY_OUTPUT: trace }
  const service = await startService({ home, workers, environment })
  const kms = sdkClient(service.env, { maxAttempts: 1 })
  const use = () =>
    kms.send(new GenerateDataKeyCommand({ KeyId: 'alias/demo', KeySpec: 'AES_256' })).then(
      () => 'answered',
      (error) => String(error.name),
    )
  try {
    expect(await use()).toBe('answered')
    await run({ service, use, hang: () => void reader.pause(), recover: () => void reader.resume() })
  } finally {
    await service.stop('SIGKILL')
    kms.destroy()
    reader.destroy()
    closeSync(keeper)
    removeHome(home)
  }
}

/** Calls until the process is gone. @returns Every outcome that there was. */
async function useUntilGone(use: () => Promise<string>, gone: () => boolean): Promise<Set<string>> {
  const outcomes = new Set<string>()
  for (let i = 0; i < 1_000 && !gone(); i++) {
    outcomes.add(await use())
    await sleep(20)
  }
  return outcomes
}

describeWith([SPY_MODULE], 'a PKCS#11 library that hangs', () => {
  it('costs callers no more than their time, then the process, which ends by itself', () =>
    withHangingLibrary(0, async ({ service, hang, use }) => {
      hang()
      const outcomes = await useUntilGone(use, () => service.process.signalCode !== null)
      expect(await service.exited).toBe('SIGKILL')
      expect(outcomes).toContain('ThrottlingException')
      expect(service.output()).toContain('giving up; start the process anew')
      expect(service.output()).toContain('hangs inside the PKCS#11 library')
    }))

  it('costs a worker, which kills itself and is replaced, while the service goes on', () =>
    withHangingLibrary(1, async ({ service, hang, recover, use }) => {
      const pid = service.workers().get(1) ?? 0
      hang()
      const outcomes = await useUntilGone(use, () => !isAlive(pid))
      expect(isAlive(pid)).toBe(false)
      expect(outcomes).toContain('ThrottlingException')
      recover()
      await eventually(async () => (await use()) === 'answered', 30_000)
      expect(service.workers().get(1)).not.toBe(pid)
      expect(service.process.exitCode).toBeNull()
      expect(service.output()).toContain('worker giving up; another takes its place')
      expect(service.output()).toContain('hangs inside the PKCS#11 library')
    }))
})
