import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { KMSClient } from '@aws-sdk/client-kms'
import Docker from 'dockerode'
import { describe } from 'vitest'
import { type GatewayEnv, parseEnvFile, sdkClient } from './gateway.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PING_TIMEOUT_MS = 5_000
const READY_TIMEOUT_MS = 30_000
const PORT = '7711/tcp'
export const IMAGE = 'p11kms:test'
export const HOME = '/var/lib/p11kms/home'
/** What softhsm/Dockerfile copies, and itself. */
const CONTEXT = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'LICENSE',
  'src',
  'softhsm/Dockerfile',
  'softhsm/healthcheck.mjs',
]

/** The engine of DOCKER_HOST, else of the usual socket. */
export const docker = new Docker()

async function whyNoEngine(): Promise<string | undefined> {
  try {
    const late = sleep(PING_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error('no answer')
    })
    await Promise.race([docker.ping(), late])
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const missing = await whyNoEngine()

/** `describe` that is skipped, with the reason in its title, where no Docker engine answers; fails under REQUIRE_ALL=1. */
export function describeWithEngine(title: string, suite: () => void): void {
  if (missing === undefined || process.env['REQUIRE_ALL'] === '1') describe(title, suite)
  else describe.skip(`${title} (skipped: no Docker engine answers: ${missing})`, suite)
}

/**
 * Builds the image, which costs a second where nothing has changed since. P11KMS_NODE_IMAGE and P11KMS_RUNTIME_IMAGE name what
 * it builds on (scripts/docker-engine sets them); a certificate in NODE_EXTRA_CA_CERTS reaches the build.
 */
export async function buildImage(): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'p11kms-context-'))
  try {
    for (const path of CONTEXT) cpSync(join(ROOT, path), join(context, path), { recursive: true })
    const authority = process.env['NODE_EXTRA_CA_CERTS']
    const src = [...CONTEXT]
    if (authority && existsSync(authority)) {
      cpSync(authority, join(context, 'softhsm/build-ca.pem'), { dereference: true })
      src.push('softhsm/build-ca.pem')
    }
    const options = { t: IMAGE, dockerfile: 'softhsm/Dockerfile', buildargs: buildArguments(), forcerm: true }
    await followBuild(await docker.buildImage({ context, src }, options))
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

function buildArguments(): Record<string, string> {
  const given = {
    NODE_IMAGE: process.env['P11KMS_NODE_IMAGE'],
    RUNTIME_IMAGE: process.env['P11KMS_RUNTIME_IMAGE'],
    NPM_CONFIG_REGISTRY: process.env['npm_config_registry'],
    // Docker knows these by itself and keeps them out of the history.
    HTTP_PROXY: process.env['HTTP_PROXY'],
    HTTPS_PROXY: process.env['HTTPS_PROXY'],
    NO_PROXY: process.env['NO_PROXY'],
  }
  const entries = Object.entries(given).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return Object.fromEntries(entries)
}

async function followBuild(stream: NodeJS.ReadableStream): Promise<void> {
  const output: string[] = []
  await new Promise<void>((resolve, reject) => {
    const onProgress = (event: { readonly stream?: string }) => {
      if (event.stream) output.push(event.stream)
    }
    docker.modem.followProgress(
      stream,
      (error, events) => {
        const failed = (events as { readonly error?: string }[] | null)?.find((event) => event.error)?.error
        if (!error && !failed) resolve()
        else reject(new Error(`${failed ?? error?.message}\n${output.join('').slice(-4000)}`))
      },
      onProgress,
    )
  })
}

export interface StartOptions {
  /** Name of a volume for /var/lib/p11kms; an anonymous one when absent. */
  readonly volume?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** `host:container[:ro]`. */
  readonly binds?: readonly string[]
  readonly user?: string
  readonly host?: Docker.HostConfig
}

/** A container of the image that serves. */
export interface Container {
  readonly container: Docker.Container
  readonly endpoint: string
  /** From its start to the first 200 of /readyz. */
  readonly readyAfterMs: number
  /** What `/readyz` says. */
  readonly readyz: () => Promise<{ readonly status: number; readonly body: string }>
  /** Output of a command in it. */
  readonly run: (...command: readonly string[]) => Promise<string>
  /** What its env file exports, with the endpoint that is published here. */
  readonly env: () => Promise<GatewayEnv>
  readonly client: () => Promise<KMSClient>
  readonly logs: () => Promise<string>
}

const started = new Set<Docker.Container>()
const volumes = new Set<string>()

/** A volume of its own name, removed by {@link removeAll}. */
export async function newVolume(): Promise<string> {
  const name = `p11kms-test-${randomBytes(6).toString('hex')}`
  await docker.createVolume({ Name: name })
  volumes.add(name)
  return name
}

/** Removes every container and volume that this process made. */
export async function removeAll(): Promise<void> {
  await Promise.all([...started].map((container) => container.remove({ force: true, v: true })))
  started.clear()
  await Promise.all([...volumes].map((name) => docker.getVolume(name).remove()))
  volumes.clear()
}

/** Starts a container and waits until it is ready. */
export async function startContainer(options: StartOptions = {}): Promise<Container> {
  const { volume, command, environment = {}, binds = [], user, host } = options
  const mounts = [...(volume ? [`${volume}:/var/lib/p11kms`] : []), ...binds]
  const container = await docker.createContainer({
    Image: IMAGE,
    ...(command && { Cmd: [...command] }),
    ...(user && { User: user }),
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    HostConfig: {
      Binds: mounts,
      PortBindings: { [PORT]: [{ HostIp: '127.0.0.1', HostPort: '0' }] },
      ...host,
    },
  })
  started.add(container)
  return await startAgain(container)
}

/** Starts a container that was stopped; its published port may be another one. */
export async function startAgain(container: Docker.Container): Promise<Container> {
  const startedAt = performance.now()
  await container.start()
  const { NetworkSettings } = await container.inspect()
  const port = NetworkSettings.Ports[PORT]?.[0]?.HostPort
  const endpoint = `http://127.0.0.1:${port}`
  const readyz = async () => {
    const response = await fetch(`${endpoint}/readyz`)
    return { status: response.status, body: await response.text() }
  }
  const logs = async () =>
    await demultiplexed(await container.logs({ stdout: true, stderr: true, follow: false }))
  const isReady = async () => (await readyz().catch(() => undefined))?.status === 200
  const isOver = async () => (await isReady()) || !(await container.inspect()).State.Running
  await eventually(isOver, READY_TIMEOUT_MS, logs)
  if (!(await isReady())) throw new Error(`ended before it was ready:\n${await logs()}`)
  const readyAfterMs = performance.now() - startedAt
  const run = async (...command: readonly string[]) => await runIn(container, command)
  const env = async () => ({
    ...parseEnvFile(await run('cat', `${HOME}/env`)),
    AWS_ENDPOINT_URL_KMS: endpoint,
    P11KMS_ENDPOINT: endpoint,
  })
  const client = async () => sdkClient(await env())
  return { container, endpoint, readyAfterMs, readyz, run, env, client, logs }
}

async function runIn(container: Docker.Container, command: readonly string[]): Promise<string> {
  const exec = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true })
  const stream = await exec.start({})
  const merged = new PassThrough()
  docker.modem.demuxStream(stream, merged, merged)
  stream.on('end', () => merged.end())
  const output = await text(merged)
  const { ExitCode } = await exec.inspect()
  if (ExitCode !== 0) throw new Error(`${command.join(' ')} ended with ${ExitCode}: ${output}`)
  return output
}

/** Frames of eight bytes of head, whose last four are the length of what follows. */
async function demultiplexed(frames: Buffer): Promise<string> {
  const parts: Buffer[] = []
  for (let at = 0; at + 8 <= frames.length; ) {
    const length = frames.readUInt32BE(at + 4)
    parts.push(frames.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return Buffer.concat(parts).toString('utf8')
}

/** Waits until `check` holds. */
export async function eventually(
  check: () => Promise<boolean>,
  timeoutMs = 20_000,
  describeState: () => Promise<string> = async () => '',
): Promise<void> {
  for (const until = performance.now() + timeoutMs; performance.now() < until; await sleep(25)) {
    if (await check()) return
  }
  throw new Error(`it did not come about in time\n${await describeState()}`)
}
