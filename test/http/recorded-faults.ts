import {
  ABSENT,
  AGREE,
  B64,
  EXTERNAL,
  importInto,
  MAC,
  newKey,
  ok,
  onKey,
  type RecordedCase,
  RSA_ENCRYPTING,
  request,
  SIGNING,
  TAG,
} from './recorded-case.ts'

/** What brings each fault about; the first words of a text are enough to name it. */
export const STATE_CASES: readonly (readonly [
  code: string,
  message: string,
  ...cases: readonly RecordedCase[],
])[] = [
  [
    'DisabledException',
    '<key-arn> is disabled.',
    {
      needs: ['Encrypt'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture)
        await ok(fixture, 'DisableKey', { KeyId })
        return fixture.request('Encrypt', { KeyId, Plaintext: B64 })
      },
    },
  ],
  [
    'DryRunOperationException',
    'The request would',
    onKey('Encrypt', {}, { Plaintext: B64, DryRun: true }, ['CreateGrant']),
  ],
  [
    'IncorrectKeyException',
    'The key ID',
    {
      needs: ['Decrypt'],
      make: async (fixture) => {
        const sealed = await ok(fixture, 'Encrypt', { KeyId: await newKey(fixture), Plaintext: B64 })
        const { CiphertextBlob } = sealed
        return fixture.request('Decrypt', { KeyId: await newKey(fixture), CiphertextBlob })
      },
    },
  ],
  ['InvalidCiphertextException', '', request('Decrypt', { CiphertextBlob: B64 })],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is ENCRYPT_DECRYPT which is not valid for DeriveSharedSecret.',
    onKey('DeriveSharedSecret', RSA_ENCRYPTING('RSA_2048'), AGREE),
  ],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac.',
    onKey('GenerateMac', RSA_ENCRYPTING('RSA_2048'), { Message: B64, MacAlgorithm: 'HMAC_SHA_256' }),
  ],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is ENCRYPT_DECRYPT which is not valid for Verify.',
    onKey('Verify', RSA_ENCRYPTING('RSA_2048'), {
      Message: B64,
      Signature: B64,
      SigningAlgorithm: 'RSASSA_PSS_SHA_256',
    }),
  ],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is GENERATE_VERIFY_MAC which is not valid for Sign.',
    onKey('Sign', MAC('HMAC_256'), { Message: B64, SigningAlgorithm: 'RSASSA_PSS_SHA_256' }),
  ],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret.',
    onKey('DeriveSharedSecret', SIGNING('ECC_NIST_P256'), AGREE),
  ],
  [
    'InvalidKeyUsageException',
    '<key-arn> key usage is SIGN_VERIFY which is not valid for Encrypt.',
    onKey('Encrypt', SIGNING('RSA_2048'), { Plaintext: B64 }, ['Sign']),
    onKey('Encrypt', SIGNING('RSA_2048'), { Plaintext: B64, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }, [
      'Sign',
    ]),
  ],
  [
    'InvalidKeyUsageException',
    'Algorithm HMAC_SHA_256 is',
    onKey('GenerateMac', MAC('HMAC_224'), { Message: B64, MacAlgorithm: 'HMAC_SHA_256' }),
  ],
  [
    'InvalidKeyUsageException',
    'Algorithm HMAC_SHA_512 is',
    onKey('GenerateMac', MAC('HMAC_256'), { Message: B64, MacAlgorithm: 'HMAC_SHA_512' }),
  ],
  [
    'KMSInvalidMacException',
    '',
    onKey('VerifyMac', MAC('HMAC_256'), { Message: B64, Mac: B64, MacAlgorithm: 'HMAC_SHA_256' }),
  ],
  [
    'KMSInvalidSignatureException',
    '',
    onKey('Verify', SIGNING('ECC_NIST_P256'), {
      Message: B64,
      Signature: B64,
      SigningAlgorithm: 'ECDSA_SHA_256',
    }),
  ],
  [
    'KMSInvalidStateException',
    'No available key material pending rotation',
    {
      needs: ['ImportKeyMaterial'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture, EXTERNAL)
        await importInto(fixture, KeyId, {})
        return fixture.request('RotateKeyOnDemand', { KeyId })
      },
    },
  ],
  [
    'KMSInvalidStateException',
    'New key material (id:',
    {
      needs: ['ImportKeyMaterial'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture, EXTERNAL)
        await importInto(fixture, KeyId, {})
        await importInto(fixture, KeyId, { ImportType: 'NEW_KEY_MATERIAL' })
        return importInto(fixture, KeyId, { ImportType: 'NEW_KEY_MATERIAL' })
      },
    },
  ],
  [
    'KMSInvalidStateException',
    'arn:<partition>:kms:<region>:111111111111:key/<key-id:1> is pending import.',
    onKey('Encrypt', EXTERNAL, { Plaintext: B64 }, ['GetParametersForImport']),
  ],
  [
    'LimitExceededException',
    'The on-demand rotations limit',
    {
      needs: ['RotateKeyOnDemand'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture)
        for (let times = 0; times < 25; times++) await ok(fixture, 'RotateKeyOnDemand', { KeyId })
        return fixture.request('RotateKeyOnDemand', { KeyId })
      },
    },
  ],
  [
    'NotFoundException',
    'Invalid arn <secondary-region>',
    request('DescribeKey', { KeyId: `arn:aws:kms:eu-central-1:111122223333:key/${ABSENT}` }),
  ],
  ...['134f2428cec14b25a1ae9048164dba47', 'fake-key-id', 'key_id', 'mrk-fake-key-id'].map(
    (KeyId) => ['NotFoundException', `Invalid keyId '${KeyId}'`, request('DescribeKey', { KeyId })] as const,
  ),
  ['NotFoundException', "Key '<key-arn>' does not exist", request('DescribeKey', { KeyId: ABSENT })],
  [
    'NotFoundException',
    "Key '<mrk-key-arn>' does not exist",
    request('DescribeKey', { KeyId: `mrk-${'0'.repeat(32)}` }),
  ],
  [
    'NotFoundException',
    "Key 'arn:<partition>:kms:<region>:111111111111:key/<key-id:1>' does not exist",
    request('DescribeKey', { KeyId: `arn:aws:kms:us-east-1:111122223333:key/${ABSENT}` }),
  ],
  [
    'NotFoundException',
    "Key 'arn:<partition>:kms:ap-southeast-1:",
    {
      needs: ['DescribeKey'],
      make: (fixture) => fixture.request('DescribeKey', { KeyId: ABSENT }, { region: 'eu-central-1' }),
    },
  ],
  ['TagException', 'Duplicate tag keys', onKey('TagResource', {}, { Tags: [TAG('a'), TAG('a')] })],
  ['TagException', 'Tags beginning with aws:', onKey('TagResource', {}, { Tags: [TAG('aws:a')] })],
  [
    'TagException',
    'Too many tags',
    {
      needs: ['TagResource'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture)
        const tags = (from: number) => Array.from({ length: 30 }, (_, n) => TAG(`k${from + n}`))
        await ok(fixture, 'TagResource', { KeyId, Tags: tags(0) })
        return fixture.request('TagResource', { KeyId, Tags: tags(30) })
      },
    },
  ],
  ['UnsupportedOperationException', '', onKey('RotateKeyOnDemand', SIGNING('RSA_2048'), {}, ['Sign'])],
  [
    'UnsupportedOperationException',
    '<key-arn> origin is AWS_KMS which',
    onKey(
      'GetParametersForImport',
      {},
      {
        WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
        WrappingKeySpec: 'RSA_2048',
      },
    ),
  ],
  [
    'UnsupportedOperationException',
    '<key-arn> origin is EXTERNAL which',
    onKey('EnableKeyRotation', EXTERNAL, {}, ['GetParametersForImport']),
  ],
  [
    'UnsupportedOperationException',
    '<mrk-key-arn> is not a multi-region primary key.',
    {
      needs: ['ReplicateKey'],
      make: async (fixture) => {
        const KeyId = await newKey(fixture, { MultiRegion: true })
        await ok(fixture, 'ReplicateKey', { KeyId, ReplicaRegion: 'eu-central-1' })
        const input = { KeyId, ReplicaRegion: 'us-east-1' }
        return fixture.request('ReplicateKey', input, { region: 'eu-central-1' })
      },
    },
  ],
]
