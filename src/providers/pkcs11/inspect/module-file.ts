import { accessSync, closeSync, constants, openSync, readSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Check } from '../../../core/inspection/doctor-report.ts'
import { errnoOf } from '../../../lib/errno.ts'

/** ELF header (System V ABI, "ELF Header"): the class, and the machine as 16 bits, little-endian on what we run on. */
const ELF = { magic: Buffer.from('7f454c46', 'hex'), classAt: 4, machineAt: 18, bytes: 20 } as const
const ELF_CLASS_WORDS: Readonly<Record<number, string>> = { 1: '32-bit', 2: '64-bit' }
const ELF_MACHINES: Readonly<Record<number, NodeJS.Architecture>> = {
  3: 'ia32',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
}

/** What can be said of the file of a library without loading it. */
export function checkModuleFile(path: string): Check {
  try {
    return inspectFile(path)
  } catch (error) {
    const code = errnoOf(error)
    const next =
      code === 'EACCES'
        ? `Let the user that runs p11kms search every folder of the path and read the file: namei -l ${path} shows who may.`
        : "Correct tokens[].module, or install the client library of the HSM. SoftHSM's is in the package softhsm2."
    return { state: 'fail', code: 'MODULE_FILE', message: `${path} cannot be used (${code})`, next }
  }
}

function inspectFile(path: string): Check {
  const real = realpathSync(path)
  const stat = statSync(real)
  const fail = (message: string, next: string): Check => ({
    state: 'fail',
    code: 'MODULE_FILE',
    message,
    next,
  })
  if (!stat.isFile())
    return fail(`${path} is not a file`, 'Name the shared library itself in tokens[].module.')
  accessSync(real, constants.R_OK)
  const misfit = process.platform === 'linux' ? misfitOf(real) : undefined
  if (misfit !== undefined)
    return fail(`${path} ${misfit}`, `Install the client library of the HSM for Linux on ${process.arch}.`)
  const link = real === path ? '' : ` -> ${real}`
  const facts = `${stat.size} bytes, of ${stat.mtime.toISOString().slice(0, 10)}`
  return { state: 'ok', code: 'MODULE_FILE', message: `${path}${link} (${facts})` }
}

/** Why the dynamic linker would not take the file. */
function misfitOf(path: string): string | undefined {
  const header = Buffer.alloc(ELF.bytes)
  const fd = openSync(path, constants.O_RDONLY)
  try {
    readSync(fd, header, 0, header.length, 0)
  } finally {
    closeSync(fd)
  }
  if (!header.subarray(0, ELF.magic.length).equals(ELF.magic)) return 'is not a shared library (ELF)'
  const machine = header.readUInt16LE(ELF.machineAt)
  const built = ELF_MACHINES[machine]
  if (built === process.arch) return undefined
  const words = ELF_CLASS_WORDS[header[ELF.classAt] ?? 0] ?? ''
  return `is built for another machine (${words} ${built ?? `ELF machine ${machine}`})`
}

/**
 * What a library reads besides, as far as it is known: SoftHSM's configuration and the folder of its tokens.
 *
 * @param environment - As the library will see it.
 */
export function checkModuleSettings(path: string, environment: NodeJS.ProcessEnv): Check | undefined {
  if (!/softhsm/i.test(basename(path))) return undefined
  const named = environment['SOFTHSM2_CONF']
  const candidates = named
    ? [named]
    : [join(homedir(), '.config/softhsm2/softhsm2.conf'), '/etc/softhsm/softhsm2.conf', '/etc/softhsm2.conf']
  const file = candidates.find((candidate) => mayDo(candidate, constants.R_OK))
  if (file === undefined) {
    const message = named
      ? `SOFTHSM2_CONF is ${named}, which cannot be read`
      : `SOFTHSM2_CONF is not set, and none of ${candidates.join(', ')} can be read`
    const next =
      'Set SOFTHSM2_CONF under tokens[].environment to a softhsm2.conf that the user of p11kms may read.'
    return { state: 'fail', code: 'MODULE_SETTINGS', message, next }
  }
  return checkTokenFolder(file, named !== undefined)
}

function checkTokenFolder(file: string, named: boolean): Check {
  const folder = /^[ \t]*directories\.tokendir[ \t]*=[ \t]*(.+?)[ \t]*$/m.exec(readStart(file))?.[1]
  const whose = named ? `SOFTHSM2_CONF is ${file}` : `SOFTHSM2_CONF is not set; SoftHSM reads ${file}`
  if (folder === undefined || mayDo(folder, constants.R_OK | constants.W_OK | constants.X_OK))
    return { state: 'ok', code: 'MODULE_SETTINGS', message: whose }
  const message = `${whose}, whose directories.tokendir ${folder} cannot be read and written`
  const next = `Make the folder, or give it to the user that runs p11kms (Debian: add the user to the group softhsm): ls -ld ${dirname(folder)} ${folder}`
  return { state: 'fail', code: 'MODULE_SETTINGS', message, next }
}

/** A configuration of SoftHSM is a few lines. Bytes. */
const SOFTHSM_CONF_BYTES_MAX = 64 * 1024

function readStart(file: string): string {
  const bytes = Buffer.alloc(SOFTHSM_CONF_BYTES_MAX)
  const fd = openSync(file, constants.O_RDONLY)
  try {
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(fd)
  }
}

function mayDo(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
