import XMLBuilder from 'fast-xml-builder'
import type { FacadeResponse } from '../../facade.ts'

export type AnswerFormat = 'JSON' | 'XML'

const CONTENT_TYPES = {
  JSON: 'application/json;charset=utf-8',
  XML: 'application/xml;charset=utf-8',
} as const satisfies Record<AnswerFormat, string>

const BUILDER = new XMLBuilder({ format: false, suppressEmptyNode: false, ignoreAttributes: true })

/** Characters that no XML document holds, not even escaped (XML 1.0, "Characters"). */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for.
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** `JSON` or `XML` in any case; `undefined` for anything else. */
export function parseFormat(text: string): AnswerFormat | undefined {
  const upper = text.toUpperCase()
  return upper === 'JSON' || upper === 'XML' ? upper : undefined
}

/**
 * An answer in the format that was asked for.
 *
 * @param root - Name of the XML document's element: `GenerateDataKeyResponse`, or `Error`.
 * @param members - Texts, numbers, booleans, and objects and lists of them. A list is elements of one name in XML.
 */
export function answer(
  format: AnswerFormat,
  status: number,
  requestId: string,
  root: string,
  members: object,
): FacadeResponse {
  const body = format === 'JSON' ? JSON.stringify(members) : xmlText(root, members)
  return {
    status,
    headers: { 'content-type': CONTENT_TYPES[format], 'x-acs-request-id': requestId },
    body,
  }
}

function xmlText(root: string, members: object): string {
  return `<?xml version="1.0" encoding="UTF-8"?>${BUILDER.build({ [root]: xmlValue(members) })}`
}

/** The value without what XML cannot hold; a lone surrogate has no UTF-8 form either. */
function xmlValue(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed().replace(NOT_XML, '\ufffd')
  if (Array.isArray(value)) return value.map(xmlValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, xmlValue(item)]))
}
