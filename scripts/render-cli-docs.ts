import { readFileSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { EXIT_CODES, EXIT_MEANINGS } from '../src/cli/exit-codes.ts'
import { buildProgram, type CliActions } from '../src/cli/program.ts'

const FILE = new URL('../docs/cli.md', import.meta.url)

const HEAD = `# The command line

\`p11kms\` is \`scripts/p11kms\` of a built checkout, or \`node dist/main.js\` with a Node that is new enough. Output is for people unless \`--json\` is given; what the JSON texts look like is in
[operating/doctor.md](operating/doctor.md) and [operating/looking-into-tokens.md](operating/looking-into-tokens.md). Colours appear on terminals alone, and not where \`NO_COLOR\` is set.

This page is rendered from the program by \`node scripts/render-cli-docs.ts\`; a check keeps it current.

## Exit codes

| Code | Meaning |
| --- | --- |
`

/** The page as the program has it now. */
function render(): string {
  const codes = Object.entries(EXIT_CODES).map(
    ([name, code]) => `| ${code} | ${EXIT_MEANINGS[name as keyof typeof EXIT_CODES]} |`,
  )
  const program = buildProgram({} as CliActions, async () => {}, '0', {})
  return `${HEAD}${codes.join('\n')}\n${leavesOf(program).map(sectionOf).join('')}`
}

/** Commands that do something, with the words that name them. */
function leavesOf(command: Command, words: readonly string[] = []): { command: Command; name: string }[] {
  const named = [...words, command.name()]
  if (command.commands.length === 0) return [{ command, name: named.join(' ') }]
  return command.commands.flatMap((child) => leavesOf(child, named))
}

function sectionOf({ command, name }: { readonly command: Command; readonly name: string }): string {
  const args = command.registeredArguments.map((argument) => ` <${argument.name()}>`).join('')
  const rows = command.options.map(({ flags, description, defaultValue }) => {
    const fallback = typeof defaultValue === 'boolean' ? undefined : defaultValue
    return `| \`${flags}\` | ${fallback === undefined ? '' : `\`${String(fallback)}\``} | ${description} |\n`
  })
  return `\n## ${name}${args}\n\n${command.description()}\n\n| Option | Default | Meaning |\n| --- | --- | --- |\n${rows.join('')}`
}

const page = render()
if (process.argv.includes('--check')) {
  if (readFileSync(FILE, 'utf8') !== page) {
    console.error('docs/cli.md is not what the program says; run: node scripts/render-cli-docs.ts')
    process.exitCode = 1
  } else {
    console.log('docs/cli.md is current')
  }
} else {
  writeFileSync(FILE, page)
}
