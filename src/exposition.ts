/** The lines of one metric: its name as it is helped and typed by, and its samples. */
const FAMILY = /^# HELP (\S+) /

/**
 * Several Prometheus expositions as one: each metric once, with the samples of all. They must not have a sample with the
 * same labels.
 */
export function mergeExpositions(texts: readonly string[]): string {
  const families = new Map<string, string[]>()
  for (const text of texts) for (const block of text.split(/^(?=# HELP )/m)) addBlock(families, block)
  return [...families.values()].map((lines) => `${lines.join('\n')}\n`).join('\n')
}

function addBlock(families: Map<string, string[]>, block: string): void {
  const name = FAMILY.exec(block)?.[1]
  if (name === undefined) return
  const lines = block.split('\n').filter((line) => line !== '')
  const known = families.get(name)
  if (known) known.push(...lines.filter((line) => !line.startsWith('#')))
  else families.set(name, lines)
}
