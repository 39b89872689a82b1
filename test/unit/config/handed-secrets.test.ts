import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
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
