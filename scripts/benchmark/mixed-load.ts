/**
 * `node scripts/benchmark/mixed-load.ts PORT OPERATIONS CONNECTIONS`: so many operations over kept-alive connections: data keys with
 * and without plaintext, opened again, encryption, and checks what comes back. Prints counts; ends by itself.
 */
import { Connection, faultOf, signedRequest } from './client.ts'

const [port = '0', operations = '1000', connections = '16'] = process.argv.slice(2)
const KEY = 'alias/demo'
const count = { ok: 0, failed: 0, wrong: 0, left: Number(operations) }
const faults: Record<string, number> = {}

interface Output {
  readonly CiphertextBlob?: string
  readonly Plaintext?: string
}

async function call(connection: Connection, operation: string, input: object): Promise<Output> {
  count.left -= 1
  const answer = await connection.exchange(signedRequest(port, operation, input))
  if (answer.status === 200) {
    count.ok += 1
    return JSON.parse(answer.body) as Output
  }
  count.failed += 1
  const fault = faultOf(answer)
  faults[fault] = (faults[fault] ?? 0) + 1
  return {}
}

/** One round: a data key made inside the token and opened twice, one made outside, a text sealed and opened. */
async function round(connection: Connection): Promise<void> {
  const inside = await call(connection, 'GenerateDataKeyWithoutPlaintext', { KeyId: KEY, KeySpec: 'AES_256' })
  const first = await call(connection, 'Decrypt', { CiphertextBlob: inside.CiphertextBlob })
  const again = await call(connection, 'Decrypt', { CiphertextBlob: inside.CiphertextBlob })
  expectSame(first.Plaintext, again.Plaintext)
  const outside = await call(connection, 'GenerateDataKey', { KeyId: KEY, KeySpec: 'AES_256' })
  const opened = await call(connection, 'Decrypt', { CiphertextBlob: outside.CiphertextBlob })
  expectSame(outside.Plaintext, opened.Plaintext)
  const Plaintext = Buffer.from(`text ${count.left}`).toString('base64')
  const sealed = await call(connection, 'Encrypt', { KeyId: KEY, Plaintext })
  const text = await call(connection, 'Decrypt', { CiphertextBlob: sealed.CiphertextBlob })
  expectSame(Plaintext, text.Plaintext)
}

function expectSame(one: string | undefined, other: string | undefined): void {
  if (one !== undefined && other !== undefined && one !== other) count.wrong += 1
}

async function pump(): Promise<void> {
  const connection = await Connection.open(port)
  while (count.left > 0) await round(connection)
  connection.close()
}

await Promise.all(Array.from({ length: Number(connections) }, pump))
process.stdout.write(
  `${JSON.stringify({ ok: count.ok, failed: count.failed, wrong: count.wrong, faults })}\n`,
)
