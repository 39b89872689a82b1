import type { SecretSource } from './common-schema.ts'
import { FileProblem, readOperatorFile } from './operator-file.ts'

/** Longest secret that is read. Bytes. */
const SECRET_BYTES_MAX = 8192

/** Why a secret cannot be used; never holds any of it. */
export class SecretError extends Error {
  override readonly name = 'SecretError'
}

/**
 * Reads a secret. A file may be readable by others, not writable. A file or variable is read anew at each call; a descriptor can be read once.
 *
 * @returns 1 to 8192 bytes, one trailing newline cut off; the caller zeroes them.
 * @throws {@link SecretError} naming the source.
 */
export function readSecret(source: SecretSource): Buffer {
  const secret = trimNewline(readSource(source))
  if (secret.length > 0 && secret.length <= SECRET_BYTES_MAX) return secret
  secret.fill(0)
  throw new SecretError(`${describe(source)} is empty or longer than ${SECRET_BYTES_MAX} bytes.`)
}

/**
 * What a source gives, newline included, not looked at: for another process, which reads it with {@link readSecret}.
 *
 * @throws {@link SecretError} when it cannot be read.
 */
export function readSource(source: SecretSource): Buffer {
  if (source.literal !== undefined) return Buffer.from(source.literal, 'utf8')
  if (source.env !== undefined) return Buffer.from(process.env[source.env] ?? '', 'utf8')
  try {
    // A newline at the end does not count.
    return readOperatorFile(source.file ?? source.fd ?? '', SECRET_BYTES_MAX + 2)
  } catch (error) {
    if (error instanceof FileProblem) throw new SecretError(`${describe(source)} ${error.message}.`)
    throw error
  }
}

function trimNewline(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1)
}

function describe(source: SecretSource): string {
  if (source.literal !== undefined) return 'the secret in the seed'
  if (source.env !== undefined) return `environment variable ${source.env}`
  return source.file === undefined ? `file descriptor ${source.fd}` : `file ${source.file}`
}
