import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { RotateKeyOnDemandCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, newHome, removeHome, sdkClient, startGateway } from '../support/gateway.ts'

const run = promisify(execFile)
/** Debian's own first: python3-boto3 is a package of it, whatever else is called python3. */
const PYTHONS = ['/usr/bin/python3', 'python3']

/** A Python that has boto3; where there is none the tests are skipped, unless REQUIRE_ALL says that none may be. */
function pythonWithBoto3(): string | undefined {
  const found = PYTHONS.find((python) => {
    try {
      execFileSync(python, ['-c', 'import boto3'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
  if (found === undefined && process.env['REQUIRE_ALL'] === '1')
    throw new Error('boto3 is missing (Debian: python3-boto3)')
  return found
}

const python = pythonWithBoto3()

/** Prints what happened as JSON; bytes as hex. */
const PRELUDE = `
import boto3, botocore, json, os, sys
kms = boto3.client('kms', endpoint_url=os.environ['P11KMS_ENDPOINT'], region_name=os.environ['AWS_REGION'])
given = json.loads(sys.argv[1])
key = os.environ['P11KMS_KEY_ID']
def tell(**values):
    print(json.dumps(values, default=lambda value: value.hex() if isinstance(value, bytes) else str(value)))
def fault(call, **members):
    try:
        call(**members)
    except botocore.exceptions.ClientError as error:
        return [error.response['Error']['Code'], error.response['Error']['Message'], type(error).__name__]
    return []
`

describe.skipIf(python === undefined)('boto3 (skipped where python3-boto3 is not installed)', () => {
  let gateway: Gateway

  beforeAll(async () => {
    gateway = await startGateway({ home: newHome() })
  })
  afterAll(async () => {
    await gateway.stop()
    removeHome(gateway.home)
  })

  async function inPython(script: string, given: object = {}): Promise<Record<string, unknown>> {
    const environment = { ...process.env, ...gateway.env, AWS_EC2_METADATA_DISABLED: 'true' }
    const { stdout } = await run(python ?? '', ['-c', PRELUDE + script, JSON.stringify(given)], {
      env: environment,
    })
    return JSON.parse(stdout)
  }

  const arn = () => `arn:aws:kms:us-east-1:111122223333:key/${gateway.env['P11KMS_KEY_ID']}`

  it('encrypts, re-encrypts and decrypts, with encryption contexts', async () => {
    const told = await inPython(`
context = {'purpose': 'boto3', 'ö': 'ü'}
sealed = kms.encrypt(KeyId=key, Plaintext=b'attack at dawn', EncryptionContext=context)
other = kms.create_key(Description='of boto3')['KeyMetadata']
moved = kms.re_encrypt(CiphertextBlob=sealed['CiphertextBlob'], SourceEncryptionContext=context,
    DestinationKeyId=other['Arn'], DestinationEncryptionContext={'moved': 'yes'})
opened = kms.decrypt(CiphertextBlob=moved['CiphertextBlob'], EncryptionContext={'moved': 'yes'})
tell(source=moved['SourceKeyId'], opened=opened['Plaintext'].decode(), same=opened['KeyId'] == other['Arn'],
    wrong=fault(kms.decrypt, CiphertextBlob=sealed['CiphertextBlob'], EncryptionContext={'purpose': 'boto3'}),
    mismatch=fault(kms.decrypt, CiphertextBlob=sealed['CiphertextBlob'], KeyId=other['KeyId'], EncryptionContext=context))
`)
    expect(told).toEqual({
      source: arn(),
      opened: 'attack at dawn',
      same: true,
      wrong: ['InvalidCiphertextException', '', 'InvalidCiphertextException'],
      mismatch: [
        'IncorrectKeyException',
        'The key ID in the request does not identify a CMK that can perform this operation.',
        'IncorrectKeyException',
      ],
    })
  })

  it('makes data keys and data key pairs of every kind, and opens them', async () => {
    const told = await inPython(`
made = kms.generate_data_key(KeyId=key, KeySpec='AES_256')
bare = kms.generate_data_key_without_plaintext(KeyId='alias/demo', NumberOfBytes=48)
pairs = {}
for spec in ['RSA_2048', 'ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1']:
    pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec=spec, EncryptionContext={'spec': spec})
    opened = kms.decrypt(CiphertextBlob=pair['PrivateKeyCiphertextBlob'], EncryptionContext={'spec': spec})
    pairs[spec] = opened['Plaintext'] == pair['PrivateKeyPlaintext'] and pair['KeyPairSpec'] == spec
tell(same=kms.decrypt(CiphertextBlob=made['CiphertextBlob'])['Plaintext'] == made['Plaintext'],
    length=len(made['Plaintext']), bare=len(kms.decrypt(CiphertextBlob=bare['CiphertextBlob'])['Plaintext']),
    pairs=pairs, random=len(kms.generate_random(NumberOfBytes=1024)['Plaintext']))
`)
    const every = ['RSA_2048', 'ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1']
    const pairs = Object.fromEntries(every.map((spec) => [spec, true]))
    expect(told).toEqual({ same: true, length: 32, bare: 48, pairs, random: 1024 })
  })

  it('sees errors, waits and pages as of AWS', async () => {
    const told = await inPython(`
made = [kms.create_key()['KeyMetadata']['KeyId'] for _ in range(5)]
listed = [entry['KeyId'] for page in kms.get_paginator('list_keys').paginate(PaginationConfig={'PageSize': 2})
    for entry in page['Keys']]
kms.disable_key(KeyId=made[0])
gone = kms.schedule_key_deletion(KeyId=made[1], PendingWindowInDays=7)
tell(listed=sorted(set(made) - set(listed)), once=len(listed) == len(set(listed)), made=made[0],
    disabled=fault(kms.encrypt, KeyId=made[0], Plaintext=b'x'), state=gone['KeyState'], year=gone['DeletionDate'].year,
    absent=fault(kms.encrypt, KeyId='alias/none', Plaintext=b'x'))
`)
    const made = `arn:aws:kms:us-east-1:111122223333:key/${String(told['made'])}`
    expect(told).toMatchObject({
      listed: [],
      once: true,
      disabled: ['DisabledException', `${made} is disabled.`, 'DisabledException'],
      state: 'PendingDeletion',
      absent: [
        'NotFoundException',
        'Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.',
        'NotFoundException',
      ],
    })
    expect(told['year']).toBeGreaterThan(2024)
  })

  it('opens what the process before it sealed, after a rotation and a restart of the service', async () => {
    const sealed = await inPython(`
tell(blob=kms.encrypt(KeyId=key, Plaintext=b'from before')['CiphertextBlob'],
    bare=kms.generate_data_key_without_plaintext(KeyId=key, KeySpec='AES_128')['CiphertextBlob'],
    pair=kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec='ECC_NIST_P256')['PrivateKeyCiphertextBlob'])
`)
    const { home } = gateway
    await rotate()
    await gateway.stop()
    gateway = await startGateway({ home })
    const told = await inPython(
      `
open_ = lambda name: kms.decrypt(CiphertextBlob=bytes.fromhex(given[name]))
now = kms.encrypt(KeyId=key, Plaintext=b'now')
tell(plain=open_('blob')['Plaintext'].decode(), bare=len(open_('bare')['Plaintext']), pair=len(open_('pair')['Plaintext']) > 100,
    now=kms.decrypt(CiphertextBlob=now['CiphertextBlob'])['Plaintext'].decode())
`,
      sealed,
    )
    expect(told).toEqual({ plain: 'from before', bare: 16, pair: true, now: 'now' })
  })

  /** Debian's boto3 is older than RotateKeyOnDemand. */
  async function rotate(): Promise<void> {
    const client = sdkClient(gateway.env)
    await client.send(new RotateKeyOnDemandCommand({ KeyId: gateway.env['P11KMS_KEY_ID'] }))
    client.destroy()
  }
})
