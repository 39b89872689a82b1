import { KmsError } from '../core/errors.ts'

/** How many causes of an error are followed. */
const CAUSES_MAX = 4

const TEXT_CHARACTERS_MAX = 500

/** An error's own code: a name of a fixed set, such as `SQLITE_FULL`, `ECONNRESET` or the SQL state `53100`. */
const CODE = /^[A-Z0-9_]{1,64}$/

/**
 * What the log says of an error: class, code, message, the facts of a token's refusal, and the same of its causes.
 * Other properties stay out, since nobody knows what a library hangs on its errors.
 *
 * @param options - `stack`: whether to show where it was thrown.
 */
export function describeError(error: unknown, options: { readonly stack: boolean }, depth = 0): unknown {
  if (!(error instanceof Error)) return error === undefined ? undefined : { type: typeof error }
  const description = {
    type: error.name,
    message: cut(error.message),
    ...codeOf(error),
    ...tokenFacts(error),
    stack: options.stack ? error.stack : undefined,
  }
  if (error.cause === undefined || depth >= CAUSES_MAX) return description
  return { ...description, cause: describeError(error.cause, options, depth + 1) }
}

function codeOf(error: Error): { readonly code?: string } {
  const code = error instanceof KmsError || 'code' in error ? error.code : undefined
  return typeof code === 'string' && CODE.test(code) ? { code } : {}
}

/** Facts of a token's refusal by the names that the log gives them; each with where the error of a provider has it. */
const TOKEN_FACTS = [
  ['token', ['token'], 'string'],
  ['function', ['fault', 'function'], 'string'],
  ['ckr', ['fault', 'name'], 'string'],
  ['number', ['fault', 'number'], 'number'],
  ['refusal', ['fault', 'code'], 'string'],
  ['hint', ['hint'], 'string'],
] as const

/**
 * The cause of an error that came from a token: return value, function and what to do. It is read by its shape, since
 * the class is of a layer that this one knows nothing of; an error without a fault of a known kind is no such cause.
 */
function tokenFacts(error: Error): Readonly<Record<string, string | number>> {
  const kind = valueAt(error, ['fault', 'kind'])
  if (kind !== 'cryptoki' && kind !== 'refusal') return {}
  const facts: Record<string, string | number> = {}
  for (const [name, path, type] of TOKEN_FACTS) {
    const value = valueAt(error, path)
    if (typeof value !== type) continue
    if (typeof value === 'string') facts[name] = cut(value)
    else if (typeof value === 'number') facts[name] = value
  }
  return facts
}

function valueAt(error: Error, path: readonly string[]): unknown {
  let value: unknown = error
  for (const name of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, name)
  }
  return value
}

function cut(text: string): string {
  return text.length > TEXT_CHARACTERS_MAX ? `${text.slice(0, TEXT_CHARACTERS_MAX)}…` : text
}
