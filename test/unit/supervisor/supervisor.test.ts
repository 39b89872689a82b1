import { afterEach, describe, expect, it } from 'vitest'
import { Supervisor, type SupervisorSettings } from '../../../src/supervisor/supervisor.ts'
import { FIRST_SECRET_FD } from '../../../src/supervisor/worker-process.ts'
import { eventually } from '../../support/softhsm.ts'

const supervisors: Supervisor[] = []
afterEach(async () => {
  for (const supervisor of supervisors.splice(0)) {
    supervisor.kill()
    await supervisor.stop()
  }
})

/** What a scripted worker does (scripted-worker.mjs). */
interface Script {
  readonly exit?: number
  readonly leave?: number
  readonly mute?: number
  readonly startMs?: number
  readonly deafTo?: 'stop'
  readonly secretFd?: number
  readonly login?: string
}

function supervise(script: Script, overrides: Partial<SupervisorSettings> = {}) {
  const logged: { readonly message: string; readonly [field: string]: unknown }[] = []
  const told: string[] = []
  const note = (fields: object, message: string) => void logged.push({ ...fields, message })
  const supervisor = new Supervisor(
    {
      workers: 2,
      host: '127.0.0.1',
      port: 0,
      connectionsMax: 100,
      settings: script,
      secrets: [],
      entry: new URL('scripted-worker.mjs', import.meta.url),
      lockedAt: 1,
      requireLock: () => undefined,
      finalExitCodes: [78],
      silenceMsMax: 30_000,
      startSilenceMsMax: 60_000,
      endTimeoutMs: 20_000,
      ...overrides,
    },
    {
      log: { info: note, warn: note, error: note },
      onLog: (lines) => told.push(...lines.trim().split('\n')),
    },
  )
  supervisors.push(supervisor)
  const toldBy = (worker: number) => told.filter((line) => line.includes(`"worker":${worker}`))
  return { supervisor, logged, told, toldBy }
}

describe('Supervisor', () => {
  it('ends with the exit code of a worker that another start would not help, having started one', async () => {
    const { supervisor, logged } = supervise({ exit: 78 }, { workers: 3 })
    await supervisor.start()
    expect(await supervisor.failed).toBe(78)
    expect(logged.map(({ message }) => message)).toStrictEqual(['worker is not started anew'])
  })

  it('starts no worker when the lock is lost, and fails', async () => {
    const lost = new Error('the lock is lost')
    let inPlace = true
    const requireLock = () => {
      if (!inPlace) throw lost
    }
    const { supervisor, logged } = supervise({}, { workers: 1, requireLock })
    await supervisor.start()
    inPlace = false
    process.kill(Number(logged[0]?.['pid']), 'SIGKILL')
    expect(await supervisor.failed).toBe(lost)
    expect(supervisor.view.serving).toBe(0)
  })

  it('appoints one worker to tend, and another when that one is gone', async () => {
    const { supervisor, logged, told } = supervise({})
    await supervisor.start()
    const tenders = () =>
      told.filter((line) => line.includes('tends')).map((line) => /"worker":(\d)/.exec(line)?.[1])
    await eventually(() => tenders().length === 1)
    expect(tenders()).toStrictEqual(['1'])
    const pid = logged.find(({ message, worker }) => message === 'worker serves' && worker === 1)?.['pid']
    process.kill(Number(pid), 'SIGKILL')
    await eventually(() => tenders().length === 2)
    expect(tenders()).toStrictEqual(['1', '2'])
    await eventually(() => supervisor.view.serving === 2 && supervisor.view.restarts === 1)
  })

  it('gives the turn to log in to the next worker when the one that has it is gone', async () => {
    const { supervisor, logged, told } = supervise({ login: 'digest of the PIN' })
    await supervisor.start()
    const turns = () =>
      told.filter((line) => line.includes('may log in: true')).map((line) => /"worker":(\d)/.exec(line)?.[1])
    await eventually(() => turns().length === 1)
    expect(turns()).toStrictEqual(['1'])
    process.kill(Number(logged.find(({ worker }) => worker === 1)?.['pid']), 'SIGKILL')
    await eventually(() => turns().length === 2, 5_000)
    expect(turns()).toStrictEqual(['1', '2'])
  })

  it('replaces a worker that says it is leaving at once, and kills it where it does not end', async () => {
    const { supervisor, logged } = supervise({ leave: 2 }, { endTimeoutMs: 300 })
    await supervisor.start()
    const pids = () =>
      logged
        .filter(({ message, worker }) => message === 'worker serves' && worker === 2)
        .map(({ pid }) => Number(pid))
    await eventually(() => pids().length >= 2)
    await eventually(() => !isAlive(pids()[0] ?? 0))
    expect(logged.some(({ message }) => message.includes('giving up; another takes its place'))).toBe(true)
  })

  it('kills a worker that says nothing for too long, and one that does not stop', async () => {
    const { supervisor, logged } = supervise(
      { mute: 1, deafTo: 'stop' },
      { silenceMsMax: 2_000, endTimeoutMs: 300 },
    )
    await supervisor.start()
    await eventually(() => logged.some(({ end }) => end === 'SIGKILL'), 20_000)
    await supervisor.stop()
    expect(logged.some(({ message }) => message === 'killing workers')).toBe(true)
  }, 30_000)

  it('lets a worker that does not serve yet say nothing for longer', async () => {
    const { supervisor, logged } = supervise({ startMs: 4_000 }, { workers: 1, silenceMsMax: 1_000 })
    await supervisor.start()
    expect(logged.map(({ message }) => message)).toStrictEqual(['worker serves'])
  }, 30_000)

  it('kills a worker that says nothing for too long before it serves', async () => {
    const { supervisor, logged } = supervise({ startMs: 120_000 }, { workers: 1, startSilenceMsMax: 1_000 })
    const started = supervisor.start()
    await eventually(() => logged.some(({ end }) => end === 'SIGKILL'), 20_000)
    await supervisor.stop()
    await started
  }, 30_000)

  it('gives each worker its secrets by descriptor, and each that replaces one', async () => {
    const secret = Buffer.from('swordfish')
    const { supervisor, logged, toldBy } = supervise({ secretFd: FIRST_SECRET_FD }, { secrets: [secret] })
    await supervisor.start()
    await eventually(() =>
      [1, 2].every((worker) => toldBy(worker).some((line) => line.includes('swordfish'))),
    )
    for (const { message, pid } of logged)
      if (message === 'worker serves') process.kill(Number(pid), 'SIGKILL')
    await eventually(() => toldBy(1).filter((line) => line.includes('swordfish')).length === 2)
    // It is the caller's, who zeroes it when the last worker was started.
    expect(secret.toString()).toBe('swordfish')
  })

  it('tells what is wrong with those that do not serve', async () => {
    const { supervisor, logged } = supervise({}, { workers: 1 })
    await supervisor.start()
    expect(supervisor.view).toStrictEqual({ configured: 1, serving: 1, restarts: 0 })
    const kill = async (times: number) => {
      for (let i = 0; i < times; i++) {
        await eventually(() => supervisor.view.serving === 1)
        process.kill(
          Number(logged.findLast(({ message }) => message === 'worker serves')?.['pid']),
          'SIGSEGV',
        )
        await eventually(() => supervisor.view.serving === 0)
      }
    }
    await kill(1)
    expect(supervisor.view.trouble).toBe('Worker 1 ended by SIGSEGV and is being started anew.')
    await kill(5)
    expect(supervisor.view.trouble).toBe('Worker 1 ends again and again, last by SIGSEGV.')
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
