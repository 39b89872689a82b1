/** Which token of a library: at least one field. `serial` wins over `label`; a URI stands alone. */
export interface TokenSelector {
  readonly serial?: string
  readonly label?: string
  /** RFC 7512, for example `pkcs11:token=prod;serial=98c63b345d5d02bc`. */
  readonly uri?: string
}

/** Attributes that a token must have; absent ones do not matter. */
export interface TokenCriteria {
  readonly serial?: string
  readonly label?: string
  readonly manufacturer?: string
  readonly model?: string
  readonly slotId?: number
}

const URI_LENGTH_MAX = 1024
/** RFC 7512, "PKCS #11 URI Scheme ABNF": attributes of the path that name a token. */
const URI_FIELDS: Readonly<Record<string, keyof TokenCriteria>> = {
  token: 'label',
  serial: 'serial',
  manufacturer: 'manufacturer',
  model: 'model',
  'slot-id': 'slotId',
}

/**
 * @returns What to compare tokens with.
 * @throws Error with a sentence for operators when the selector chooses nothing or its URI is not one we take.
 */
export function parseTokenSelector(select: TokenSelector): TokenCriteria {
  if (select.uri !== undefined) {
    if (select.serial !== undefined || select.label !== undefined) {
      throw new Error('A token is selected by its URI or by serial and label, not by both.')
    }
    return parseTokenUri(select.uri)
  }
  if (select.serial !== undefined) return { serial: select.serial }
  if (select.label !== undefined) return { label: select.label }
  throw new Error('A token is selected by its serial, its label or an RFC 7512 URI: none is given.')
}

/**
 * Reads the attributes of a PKCS #11 URI that name a token. Attributes of objects, and every query attribute, are
 * refused: a PIN has no place in a configuration, and silently ignoring the rest would select something else.
 *
 * @throws Error with a sentence for operators.
 * @see RFC 7512, "PKCS #11 URI Scheme Definition"
 */
export function parseTokenUri(uri: string): TokenCriteria {
  if (!uri.startsWith('pkcs11:')) throw new Error('A PKCS #11 URI begins with "pkcs11:".')
  if (uri.length > URI_LENGTH_MAX) throw new Error(`A PKCS #11 URI has at most ${URI_LENGTH_MAX} characters.`)
  const [path = '', query] = uri.slice('pkcs11:'.length).split('?', 2)
  if (query !== undefined) refuseQuery(query)
  const criteria: Record<string, string | number> = {}
  for (const pair of path.split(';')) {
    const equals = pair.indexOf('=')
    const name = equals < 0 ? pair : pair.slice(0, equals)
    const field = URI_FIELDS[name]
    if (equals < 0 || field === undefined)
      throw new Error(`The PKCS #11 URI has an attribute we do not take: "${name}".`)
    if (field in criteria) throw new Error(`The PKCS #11 URI has "${name}" twice.`)
    const value = decodeAttribute(name, pair.slice(equals + 1))
    criteria[field] = field === 'slotId' ? parseSlotId(value) : value
  }
  return criteria
}

/**
 * The URI that selects a token by everything that it says of itself; the inverse of {@link parseTokenUri}. An attribute
 * that is empty is left out.
 */
export function encodeTokenUri(
  token: Readonly<Record<'label' | 'serial' | 'manufacturer' | 'model', string>>,
): string {
  const { label, serial, manufacturer, model } = token
  const pairs = Object.entries({ token: label, serial, manufacturer, model }).filter(
    ([, value]) => value !== '',
  )
  return `pkcs11:${pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join(';')}`
}

function refuseQuery(query: string): never {
  const name = query.split('=', 1)[0] ?? ''
  if (name === 'pin-value' || name === 'pin-source') {
    throw new Error(`The PKCS #11 URI has "${name}": a PIN comes from the configured PIN source only.`)
  }
  throw new Error('The PKCS #11 URI has a query: only attributes of the token are taken.')
}

function decodeAttribute(name: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error(`The value of "${name}" in the PKCS #11 URI is not percent-encoded UTF-8.`)
  }
}

function parseSlotId(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new Error('The slot-id of a PKCS #11 URI is a decimal number.')
  return Number(text)
}

/** Whether a token has every attribute asked for. */
export function matchesCriteria(token: Required<TokenCriteria>, criteria: TokenCriteria): boolean {
  return (Object.keys(criteria) as (keyof TokenCriteria)[]).every((field) => token[field] === criteria[field])
}
