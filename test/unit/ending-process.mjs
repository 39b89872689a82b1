/** A process that nobody catches an error of while a thread of it is in a system call that does not return: opening argv[2]. */
import { Worker } from 'node:worker_threads'
import { endOnUncaught } from '../../src/run.ts'

endOnUncaught({ logger: { fatal: () => undefined }, flush: () => process.stdout.write('flushed') })
const [, , fifo] = process.argv
const fail = () =>
  setTimeout(() => {
    throw new Error('nobody catches this')
  }, 200)
if (fifo === undefined) fail()
else {
  const code =
    "require('node:worker_threads').parentPort.postMessage(0); require('node:fs').openSync(process.argv[2])"
  new Worker(code, { eval: true, argv: [fifo] }).once('message', fail)
}
