import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { handSecrets } from '../../../src/config/handed-secrets.ts'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'

it('secrets from descriptors are read once, as they are, and named by the descriptors that a worker gets them from', () => {
  const file = join(tmpdir(), `p11kms-handed-${process.pid}`)
  writeFileSync(file, 'pin-of-nine\r\n', { mode: 0o600 })
  const fds = [openSync(file, 'r'), openSync(file, 'r')]
  try {
    const config = CONFIG_SCHEMA.parse({
      accounts: [
        {
          awsAccountId: '111122223333',
          credentials: [
            {
              accessKeyId: 'AKIAEXAMPLEEXAMPLE00',
              secretAccessKey: { env: 'SECRET' },
              sessionToken: { fd: fds[1] },
            },
          ],
        },
      ],
      tokens: [{ name: 'main', module: 'module.so', label: 'prod', pin: { fd: fds[0] } }],
    })
    const { config: handed, secrets } = handSecrets(config, 4)
    const [credential] = handed.accounts[0]?.credentials ?? []
    expect([credential?.secretAccessKey, credential?.sessionToken, handed.tokens[0]?.pin]).toStrictEqual([
      { env: 'SECRET' },
      { fd: 4 },
      { fd: 5 },
    ])
    expect(secrets.map(String)).toStrictEqual(['pin-of-nine\r\n', 'pin-of-nine\r\n'])
  } finally {
    for (const fd of fds) closeSync(fd)
    rmSync(file)
  }
})

it("every secret of the schema is handed, a replica's PIN among them", () => {
  const folder = mkdtempSync(join(tmpdir(), 'p11kms-handed-'))
  const fds: number[] = []
  const secret = (text: string) => {
    writeFileSync(join(folder, text), text, { mode: 0o600 })
    const fd = openSync(join(folder, text), 'r')
    fds.push(fd)
    return { fd }
  }
  const token = (name: string) => ({ module: `${name}.so`, label: name, pin: secret(`pin-of-${name}`) })
  try {
    const config = CONFIG_SCHEMA.parse({
      accounts: [
        {
          awsAccountId: '111122223333',
          credentials: [
            {
              accessKeyId: 'AKIAEXAMPLEEXAMPLE00',
              secretAccessKey: secret('access'),
              sessionToken: secret('session'),
            },
          ],
          alibabaUid: '1111222233334444',
          alibabaCredentials: [
            {
              accessKeyId: 'LTAIexampleExampleExampl',
              accessKeySecret: secret('alibaba-access'),
              securityToken: secret('alibaba-session'),
            },
          ],
        },
      ],
      tokens: [
        { name: 'one', ...token('one'), replica: token('copy') },
        { name: 'two', ...token('two') },
      ],
    })
    const sources = sourcesIn(config)
    // Without a new secret of the schema in the configuration above, this test would not see that it is forgotten.
    const schema = z.toJSONSchema(CONFIG_SCHEMA, { io: 'input' })
    expect(new Set(sources.map(({ path }) => path))).toStrictEqual(new Set(sourcesOf(schema)))
    const { config: handed, secrets } = handSecrets(config, 1000)
    const textOf = ({ path, fd }: Source) => `${path} ${String(secrets[fd - 1000])}`
    expect(sourcesIn(handed).map(textOf).toSorted()).toStrictEqual([
      'accounts.alibabaCredentials.accessKeySecret alibaba-access',
      'accounts.alibabaCredentials.securityToken alibaba-session',
      'accounts.credentials.secretAccessKey access',
      'accounts.credentials.sessionToken session',
      'tokens.pin pin-of-one',
      'tokens.pin pin-of-two',
      'tokens.replica.pin pin-of-copy',
    ])
  } finally {
    for (const fd of fds) closeSync(fd)
    rmSync(folder, { recursive: true })
  }
})

interface Source {
  /** Names of the fields that lead to it. */
  readonly path: string
  readonly fd: number
}

function sourcesIn(value: unknown, path: readonly string[] = []): Source[] {
  if (typeof value !== 'object' || value === null) return []
  if ('fd' in value) return [{ path: path.join('.'), fd: Number(value.fd) }]
  return Object.entries(value).flatMap(([name, child]) =>
    sourcesIn(child, Array.isArray(value) ? path : [...path, name]),
  )
}

/** Paths of the fields that a JSON Schema lets name a descriptor. */
function sourcesOf(schema: object, path: readonly string[] = []): string[] {
  if ('items' in schema) return sourcesOf(schema.items as object, path)
  const properties = 'properties' in schema ? (schema.properties as Record<string, object>) : {}
  if ('fd' in properties) return [path.join('.')]
  return Object.entries(properties).flatMap(([name, child]) => sourcesOf(child, [...path, name]))
}
