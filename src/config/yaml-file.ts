import { type Document, parseDocument } from 'yaml'
import { ConfigError } from './config-error.ts'
import { FileProblem, readOperatorFile } from './operator-file.ts'

const YAML_BYTES_MAX = 4 * 1024 * 1024
/** Most nodes that the aliases of a file may come to. */
const ALIASES_MAX = 100

/**
 * What a YAML file of the operator says.
 *
 * @param hint - What to do where there is no such file.
 * @throws {@link ConfigError} when it cannot be read, is longer than 4 MiB or is no YAML.
 */
export function readYaml(file: string, hint: string): unknown {
  const text = readText(file, hint)
  const refusal = (errors: readonly Error[]) =>
    new ConfigError(
      file,
      // The lines after the first repeat the text of the file, which may hold a secret.
      errors.map(({ message }) => ({ path: '', message: message.split('\n')[0] ?? '' })),
    )
  let document: Document
  try {
    document = parseDocument(text, { prettyErrors: true, uniqueKeys: true })
    // An empty file lacks what every other file lacks that says nothing.
    if (document.errors.length === 0) return document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {}
  } catch (error) {
    // Aliases without an anchor or too many of them, and nesting that is deeper than the stack.
    if (error instanceof ReferenceError || error instanceof RangeError) throw refusal([error])
    throw error
  }
  throw refusal(document.errors)
}

function readText(file: string, ifAbsent: string): string {
  try {
    return readOperatorFile(file, YAML_BYTES_MAX).toString('utf8')
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error
    const hint = error.code === 'ENOENT' ? `; ${ifAbsent}` : ''
    throw new ConfigError(file, [{ path: '', message: `The file ${error.message}${hint}.` }])
  }
}
