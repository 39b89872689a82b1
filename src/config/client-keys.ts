import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { ConfigProblem } from './config-error.ts'
import { FileProblem, readOperatorFile } from './operator-file.ts'
import type { Config } from './schema.ts'

/** Longest file of a public key or a certificate. Bytes. */
const FILE_BYTES_MAX = 65_536
const MODULUS_BITS = { min: 2048, max: 4096 } as const

/** Why the file of a client key cannot be used. */
class ClientKeyError extends Error {
  override readonly name = 'ClientKeyError'
}

/**
 * The public key of a client key. The file is read anew at each call.
 *
 * @throws ClientKeyError naming the file.
 */
export function readClientPublicKey(file: string): KeyObject {
  const key = parsePublicKey(file, readText(file))
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType === 'rsa' && bits >= MODULUS_BITS.min && bits <= MODULUS_BITS.max) return key
  throw new ClientKeyError(
    `file ${file} holds no RSA key of ${MODULUS_BITS.min} to ${MODULUS_BITS.max} bits.`,
  )
}

function readText(file: string): string {
  try {
    return readOperatorFile(file, FILE_BYTES_MAX).toString('latin1')
  } catch (error) {
    if (error instanceof FileProblem) throw new ClientKeyError(`file ${file} ${error.message}.`)
    throw error
  }
}

function parsePublicKey(file: string, text: string): KeyObject {
  // What is private stays with its owner: from a private key a public one could be made as well.
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new ClientKeyError(`file ${file} holds a private key, which belongs to the client alone.`)
  }
  try {
    return text.includes('-----BEGIN CERTIFICATE-----')
      ? new X509Certificate(text).publicKey
      : createPublicKey(text)
  } catch {
    throw new ClientKeyError(`file ${file} holds neither a public key nor a certificate in PEM.`)
  }
}

/** Ids that are there twice, regions that are not, and files that hold no key. */
export function findClientKeyProblems(config: Config): ConfigProblem[] {
  const seen = new Set<string>()
  const regions = new Set(config.regions.map((region) => region.name))
  return config.accounts.flatMap(({ clientKeys = [] }, a) =>
    clientKeys.flatMap(({ clientKeyId, publicKeyFile, region }, c) => {
      const path = `accounts.${a}.clientKeys.${c}`
      const problems: ConfigProblem[] = []
      if (seen.has(clientKeyId)) {
        problems.push({ path: `${path}.clientKeyId`, message: `${clientKeyId} is there twice.` })
      }
      seen.add(clientKeyId)
      if (region !== undefined && !regions.has(region)) {
        problems.push({ path: `${path}.region`, message: `${region} is none of the regions.` })
      }
      return [...problems, ...checkFile(`${path}.publicKeyFile`, publicKeyFile)]
    }),
  )
}

function checkFile(path: string, file: string): ConfigProblem[] {
  try {
    readClientPublicKey(file)
    return []
  } catch (error) {
    if (error instanceof ClientKeyError) return [{ path, message: error.message }]
    throw error
  }
}
