/** A worker that does as its settings say, in place of a gateway: `{ script: [what it does, start by start] }`. */
import { readFileSync } from 'node:fs'

/** The loop stands still, as in a system call that does not return. */
const standStill = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
const send = (message) => process.send(message, undefined, undefined, () => undefined)
process.on('SIGTERM', () => undefined)
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.once('message', ({ worker, settings }) => {
  const beats = setInterval(() => send({ kind: 'beat' }), 100)
  const log = (text) => process.stdout.write(`${JSON.stringify({ worker, text })}\n`)
  const end = (code) => {
    clearInterval(beats)
    process.exit(code)
  }
  process.on('message', (message) => {
    if (message.kind === 'tend') log('tends')
    if (message.kind === 'mayLogin') log(`may log in: ${message.yes}`)
    if (message.kind === 'view') log(`serving ${message.view.serving}`)
    if (message.kind === 'stop' && settings.deafTo !== 'stop') end(0)
  })
  if (settings.exit !== undefined) end(settings.exit)
  if (settings.secretFd !== undefined) log(`secret ${readFileSync(settings.secretFd, 'utf8')}`)
  if (settings.startMs !== undefined) standStill(settings.startMs)
  send({ kind: 'ready' })
  if (settings.login !== undefined) send({ kind: 'login', token: 'main', digest: settings.login })
  if (settings.leave === worker) setTimeout(() => send({ kind: 'leaving' }), 50)
  if (settings.mute === worker) setTimeout(standStill, 50)
})
