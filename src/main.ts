#!/usr/bin/env node
/** The `p11kms` binary: the version of Node first, because an older one fails in the middle with a riddle. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const supported = major === 24 || (major === 22 && minor >= 18)

if (supported) {
  const { runCommandLine } = await import('./commands.ts')
  process.exitCode = await runCommandLine()
} else {
  process.stderr.write(
    `p11kms: needs Node 24, or 22.18 and newer; this is ${process.versions.node} at ${process.execPath}. ` +
      'scripts/start brings one along, which scripts/p11kms runs.\n',
  )
  process.exitCode = 78
}
