import { execFile, execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, startGateway } from '../support/gateway.ts'

const run = promisify(execFile)

/** The AWS CLI of the system; where it is missing the tests are skipped, unless REQUIRE_ALL says that none may be. */
function awsCliIsThere(): boolean {
  try {
    execFileSync('aws', ['--version'], { stdio: 'ignore' })
    return true
  } catch (error) {
    if (process.env['REQUIRE_ALL'] === '1')
      throw new Error('the AWS CLI is missing (Debian: awscli)', { cause: error })
    return false
  }
}

describe.skipIf(!awsCliIsThere())('the AWS CLI (skipped where awscli is not installed)', () => {
  let gateway: Gateway

  beforeAll(async () => {
    gateway = await startGateway({ home: newHome() })
  })
  afterAll(async () => {
    await gateway.stop()
    removeHome(gateway.home)
  })

  async function aws(...args: readonly string[]): Promise<Record<string, unknown>> {
    const environment = { ...process.env, ...gateway.env, AWS_PAGER: '', AWS_EC2_METADATA_DISABLED: 'true' }
    const all = ['kms', ...args, '--endpoint-url', gateway.endpoint, '--output', 'json']
    const { stdout } = await run('aws', all, { env: environment })
    return stdout.trim() === '' ? {} : JSON.parse(stdout)
  }

  it('makes a key, names it, gets a data key and opens it', async () => {
    const created = await aws('create-key', '--description', 'from the command line')
    const { KeyId } = created['KeyMetadata'] as { KeyId: string }
    await aws('create-alias', '--alias-name', 'alias/cli', '--target-key-id', KeyId)
    const made = await aws('generate-data-key', '--key-id', 'alias/cli', '--key-spec', 'AES_256')
    const blob = join(gateway.home, 'blob')
    writeFileSync(blob, Buffer.from(String(made['CiphertextBlob']), 'base64'))
    const opened = await aws('decrypt', '--ciphertext-blob', `fileb://${blob}`)
    expect(opened['Plaintext']).toBe(made['Plaintext'])
    expect(readFileSync(blob)).not.toHaveLength(0)
    const listed = await aws('list-aliases', '--key-id', KeyId)
    expect(listed['Aliases']).toMatchObject([{ AliasName: 'alias/cli', TargetKeyId: KeyId }])
  })

  it('shows the error and its text', async () => {
    const failed = aws('generate-data-key', '--key-id', 'alias/nobody', '--key-spec', 'AES_256')
    await expect(failed).rejects.toThrow(/NotFoundException.*alias\/nobody is not found/)
  })

  it('works with the very command that the quick start prints', async () => {
    const line = /^ {2}(aws kms generate-data-key .*)$/m.exec(gateway.output())?.[1] ?? ''
    const script = `. ${join(gateway.home, 'env')}\n${line}`
    const { stdout } = await run('sh', ['-c', script], { env: { ...process.env, AWS_PAGER: '' } })
    expect(stdout).toContain('CiphertextBlob')
    const node = /^ {2}(\S*node -e .*)$/m.exec(gateway.output())?.[1] ?? ''
    const sdk = await run('sh', ['-c', `. ${join(gateway.home, 'env')}\n${node}`])
    expect(sdk.stdout).toContain('CiphertextBlob')
  })
})
