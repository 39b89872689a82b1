import { randomBytes, randomInt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMap, isSeq, parseDocument, stringify } from 'yaml'
import { errnoOf } from '../lib/errno.ts'
import { ConfigError } from './config-error.ts'
import type { FirstSecrets } from './first-secrets.ts'
import { CONFIG_BYTES_MAX, readOperatorFile } from './operator-file.ts'
import { ensureOwnFolder, writeOwnFile } from './own-files.ts'

/** Where the quick start keeps everything that it makes; nothing is outside of it. */
export interface Home {
  readonly folder: string
  readonly configFile: string
  /** Shell file that exports the endpoint, the credentials and the first key. */
  readonly envFile: string
  readonly softhsmConf: string
  readonly userPinFile: string
  readonly soPinFile: string
  readonly tokenLabel: string
  readonly region: string
  readonly accountId: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly alibabaAccessKeyId: string
  readonly alibabaAccessKeySecret: string
}

/** Where distributions put SoftHSM2's module. */
const SOFTHSM_MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so', //                     Debian, Ubuntu, Arch, Alpine
  '/usr/lib64/pkcs11/libsofthsm2.so', //                    Fedora, RHEL
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so', //               built from source, Homebrew on Intel
  '/opt/homebrew/lib/softhsm/libsofthsm2.so', //            Homebrew on Apple silicon
] as const

/** What SoftHSM reads of a line of its configuration, without the line's end. */
const SOFTHSM_LINE_BYTES_MAX = 1022
const TOKEN_LABEL = 'p11kms'
const REGION = 'us-east-1'
const ACCOUNT_ID = '111122223333'
const ALIBABA_UID = '1111222233334444'
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/**
 * The SoftHSM2 module of this machine.
 *
 * @throws {@link ConfigError} when there is none, with what to install.
 */
export function findSofthsmModule(environment: NodeJS.ProcessEnv): string {
  const named = environment['SOFTHSM2_MODULE']
  const candidates = named ? [named] : SOFTHSM_MODULES
  const found = candidates.find((path) => existsSync(path))
  if (found) return found
  const message = `SoftHSM2's PKCS#11 module is at none of ${candidates.join(', ')}; install softhsm2 (Debian, Ubuntu) or softhsm (Fedora, Arch, Alpine, Homebrew), or name it in SOFTHSM2_MODULE.`
  throw new ConfigError('quick start', [{ path: '', message }])
}

/**
 * Makes what is missing of a home: folders, PINs and credentials (`first`, or random ones), the configuration. What is there
 * stays as it is.
 *
 * @throws {@link ConfigError} when the folder cannot be written, is another user's or a symbolic link, is none that
 *   SoftHSM can use, or has another secret than `first` gives.
 */
export function prepareHome(folder: string, softhsmModule: () => string, first: FirstSecrets = {}): Home {
  try {
    return writeMissing(folder, softhsmModule, first)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const message = `The folder cannot be used (${errnoOf(error)}); name another with --home or P11KMS_HOME.`
    throw new ConfigError(folder, [{ path: '', message }])
  }
}

function writeMissing(folder: string, softhsmModule: () => string, first: FirstSecrets): Home {
  const secrets = join(folder, 'secrets')
  const tokens = join(folder, 'tokens')
  requireSofthsmPath(folder, tokens)
  for (const path of [folder, secrets, tokens]) ensureOwnFolder(path)
  const path = (name: string) => join(secrets, name)
  const keepFirst = (name: string, given: string | undefined, make: () => string) => {
    const kept = keep(path(name), () => given ?? make())
    if (given === undefined || kept === given) return kept
    const message = `It holds another one than the environment gives (P11KMS_FIRST_…), which counts at the first start alone: unset it, or give what is there.`
    throw new ConfigError(path(name), [{ path: '', message }])
  }
  const randomPin = () => randomBytes(18).toString('base64url')
  const home: Home = {
    folder,
    configFile: join(folder, 'config.yaml'),
    envFile: join(folder, 'env'),
    softhsmConf: join(folder, 'softhsm2.conf'),
    userPinFile: path('user-pin'),
    soPinFile: path('so-pin'),
    tokenLabel: TOKEN_LABEL,
    region: REGION,
    accountId: ACCOUNT_ID,
    accessKeyId: keepFirst('access-key-id', first.accessKeyId, () => `AKIA${randomText(BASE32, 16)}`),
    secretAccessKey: keepFirst('secret-access-key', first.secretAccessKey, () =>
      randomText(ALPHANUMERIC, 40),
    ),
    alibabaAccessKeyId: keepFirst(
      'alibaba-access-key-id',
      first.alibabaAccessKeyId,
      () => `LTAI${randomText(ALPHANUMERIC, 20)}`,
    ),
    alibabaAccessKeySecret: keepFirst('alibaba-access-key-secret', first.alibabaAccessKeySecret, () =>
      randomText(ALPHANUMERIC, 30),
    ),
  }
  keepFirst('user-pin', first.userPin, randomPin)
  keepFirst('so-pin', first.soPin, randomPin)
  keep(home.softhsmConf, () => softhsmConf(tokens))
  keep(home.configFile, () => configYaml(home, softhsmModule()))
  completeConfig(home)
  return home
}

/** The text of a file, which is made first where it is missing: never half of it, never over another. */
function keep(file: string, make: () => string): string {
  if (!existsSync(file)) writeOwnFile(file, `${make()}\n`)
  return readFileSync(file, 'utf8').trimEnd()
}

/** Uniform over `alphabet`. */
function randomText(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}

/**
 * SoftHSM cuts a value of its configuration at `=` and `#`, knows no quotes for it, and reads lines of 1023 bytes. Spaces
 * and quotes are as good as any other character.
 *
 * @throws {@link ConfigError} for a folder that could not be written there.
 */
function requireSofthsmPath(folder: string, tokens: string): void {
  const line = softhsmConf(tokens).split('\n')[0] ?? ''
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for.
  if (!/[=#\u0000-\u001f]/.test(tokens) && Buffer.byteLength(line) <= SOFTHSM_LINE_BYTES_MAX) return
  const message =
    'SoftHSM cannot use a folder whose path has =, # or a control character or is longer than about 990 bytes; name another with --home or P11KMS_HOME.'
  throw new ConfigError(folder, [{ path: '', message }])
}

function softhsmConf(tokens: string): string {
  return `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false`
}

/** SoftHSM unwraps nothing with OAEP and SHA-256, as the documentation of AWS KMS has it, and wraps no Ed25519 key. */
const CONFIG_HEAD = `# Made by the quick start; docs/config.md explains every field.
# allowHostMemory: SoftHSM is a library in the memory of this process, so nothing is lost by it. Take it out for an HSM.`

function configYaml(home: Home, module: string): string {
  const config = {
    store: { path: 'store.sqlite' },
    regions: [{ name: home.region }],
    accounts: [
      {
        awsAccountId: home.accountId,
        credentials: [
          { accessKeyId: home.accessKeyId, secretAccessKey: { file: 'secrets/secret-access-key' } },
        ],
        ...alibabaPart(home),
      },
    ],
    tokens: [
      {
        name: 'softhsm',
        module,
        label: home.tokenLabel,
        allowHostMemory: true,
        pin: { file: 'secrets/user-pin' },
        environment: { SOFTHSM2_CONF: home.softhsmConf },
      },
    ],
  }
  return `${CONFIG_HEAD}\n${stringify(config).trimEnd()}`
}

/** What the account of the quick start has of Alibaba Cloud. */
function alibabaPart(home: Home) {
  return {
    alibabaUid: ALIBABA_UID,
    alibabaCredentials: [
      {
        accessKeyId: home.alibabaAccessKeyId,
        accessKeySecret: { file: 'secrets/alibaba-access-key-secret' },
      },
    ],
  }
}

/**
 * Gives the account of a home that an older release made its Alibaba Cloud credential; the rest of the file stays as it is,
 * comments included. An account that names `alibabaCredentials`, be it none, is left alone, and so is a file that is no YAML.
 */
function completeConfig(home: Home): void {
  const text = readOperatorFile(home.configFile, CONFIG_BYTES_MAX).toString('utf8')
  const document = parseDocument(text)
  const accounts: unknown = document.errors.length === 0 && document.get('accounts')
  if (!isSeq(accounts)) return
  const account = accounts.items.find((item) => isMap(item) && item.get('awsAccountId') === home.accountId)
  if (!isMap(account) || account.has('alibabaCredentials')) return
  for (const [name, value] of Object.entries(alibabaPart(home))) {
    if (!account.has(name)) account.set(name, document.createNode(value))
  }
  writeOwnFile(home.configFile, document.toString())
}

/** The wildcard addresses are for listening; a client of this machine reaches them by the loopback one. */
function reachable(endpoint: string): string {
  return endpoint.replace('//0.0.0.0', '//127.0.0.1').replace('//[::]', '//[::1]')
}

/** Writes the shell file that a client sources. Values are single-quoted: none of them can end its quotes. */
export function writeEnvFile(home: Home, listening: string, keyId: string): void {
  const endpoint = reachable(listening)
  const exports = {
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_ENDPOINT_URL_STS: endpoint,
    AWS_ACCESS_KEY_ID: home.accessKeyId,
    AWS_SECRET_ACCESS_KEY: home.secretAccessKey,
    AWS_REGION: home.region,
    AWS_DEFAULT_REGION: home.region,
    ALIBABA_CLOUD_ACCESS_KEY_ID: home.alibabaAccessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: home.alibabaAccessKeySecret,
    P11KMS_CONFIG: home.configFile,
    P11KMS_ENDPOINT: endpoint,
    P11KMS_KEY_ID: keyId,
  }
  const lines = Object.entries(exports).map(
    ([variable, value]) => `export ${variable}='${value.replaceAll("'", `'\\''`)}'`,
  )
  // A session or a profile of another account would win over the credentials.
  const unset = 'unset AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE ALIBABA_CLOUD_SECURITY_TOKEN'
  writeOwnFile(home.envFile, `${[unset, ...lines].join('\n')}\n`)
}
