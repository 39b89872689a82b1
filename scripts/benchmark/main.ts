/** Drives scripts/bench: one scenario after another, each with a gateway of its own. */
import { parseArgs } from 'node:util'
import { hang } from './hang.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import type { Findings } from './numbers.ts'
import { overload } from './overload.ts'
import { ratio } from './ratio.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    operations: { type: 'string', default: '500000' },
    workers: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const [rounds, seconds, operations] = [values.rounds, values.seconds, values.operations].map(Number) as [
  number,
  number,
  number,
]
const SCENARIOS: Readonly<Record<string, () => Promise<Findings>>> = {
  ratio: () => ratio(rounds, seconds, 0),
  latency: () => latency(rounds, seconds),
  hang,
  overload: () => overload(seconds),
  memory: () => memory(operations),
}

function print({ title, lines, figures, failures }: Findings, name: string): void {
  if (values.json) console.log(JSON.stringify({ scenario: name, ...figures, failures }))
  else {
    const width = Math.max(...lines.map(([label]) => label.length))
    console.log(title)
    for (const [label, text] of lines) console.log(`  ${label.padEnd(width)}  ${text}`)
    for (const failure of failures) console.log(`  FAIL: ${failure}`)
  }
}

const { workers } = values
const names = positionals.length === 0 ? ['ratio'] : positionals
const chosen = names.includes('all') ? Object.keys(SCENARIOS) : names
const unknown = chosen.filter((name) => !Object.hasOwn(SCENARIOS, name))
if (unknown.length > 0) {
  console.error(`No scenario ${unknown.join(', ')}: there are ${Object.keys(SCENARIOS).join(', ')} and all.`)
  process.exit(64)
}
function conclude(found: Findings, name: string): void {
  print(found, name)
  if (found.failures.length > 0) process.exitCode = 1
}

for (const name of chosen) {
  const found = await SCENARIOS[name]?.()
  if (found) conclude(found, name)
  if (name === 'ratio' && workers !== undefined) {
    conclude(await ratio(rounds, seconds, Number(workers)), `ratio, ${workers} workers`)
  }
}
