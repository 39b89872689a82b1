import {
  ABSENT,
  AGREE,
  AGREEING,
  B64,
  digest,
  importInto,
  newKey,
  oaep,
  onKey,
  type RecordedCase,
  request,
  TAG,
} from './recorded-case.ts'

/** What brings the faults of the request itself about. */
export const REQUEST_CASES: readonly (readonly [
  code: string,
  message: string,
  ...cases: readonly RecordedCase[],
])[] = [
  // Recorded without a text for a DeriveSharedSecret whose public key is none.
  ['ValidationException', '', onKey('DeriveSharedSecret', AGREEING, AGREE)],
  [
    'ValidationException',
    "1 validation error detected: Value '0' at",
    request('GenerateRandom', { NumberOfBytes: 0 }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value '1025'",
    request('GenerateRandom', { NumberOfBytes: 1025 }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'HMAC_random'",
    request('CreateKey', { KeySpec: 'HMAC_random', KeyUsage: 'GENERATE_VERIFY_MAC' }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm'",
    request('DeriveSharedSecret', { KeyId: ABSENT, KeyAgreementAlgorithm: 'INVALID', PublicKey: B64 }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'INVALID' at 'macAlgorithm'",
    request('GenerateMac', { KeyId: ABSENT, Message: B64, MacAlgorithm: 'INVALID' }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'RANDOM'",
    request('CreateKey', { KeyUsage: 'RANDOM' }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'aaaa",
    request('CreateKey', { Tags: [TAG('a'.repeat(129))] }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value 'vvvv",
    request('CreateKey', { Tags: [TAG('k', 'v'.repeat(257))] }),
  ],
  [
    'ValidationException',
    "1 validation error detected: Value at 'plaintext'",
    request('Encrypt', { KeyId: ABSENT, Plaintext: Buffer.alloc(4097).toString('base64') }),
  ],
  [
    'ValidationException',
    'A validTo date must be set',
    {
      needs: ['ImportKeyMaterial'],
      make: async (fixture) => {
        const input = { ExpirationModel: 'KEY_MATERIAL_EXPIRES' }
        return importInto(fixture, await newKey(fixture, { Origin: 'EXTERNAL' }), input)
      },
    },
  ],
  ['ValidationException', 'Algorithm RSAES_OAEP_SHA_1 and key spec RSA_2048', oaep('RSA_2048', 'SHA_1', 214)],
  ['ValidationException', 'Algorithm RSAES_OAEP_SHA_1 and key spec RSA_3072', oaep('RSA_3072', 'SHA_1', 342)],
  ['ValidationException', 'Algorithm RSAES_OAEP_SHA_1 and key spec RSA_4096', oaep('RSA_4096', 'SHA_1', 470)],
  [
    'ValidationException',
    'Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048',
    oaep('RSA_2048', 'SHA_256', 190),
  ],
  [
    'ValidationException',
    'Algorithm RSAES_OAEP_SHA_256 and key spec RSA_3072',
    oaep('RSA_3072', 'SHA_256', 318),
  ],
  [
    'ValidationException',
    'Algorithm RSAES_OAEP_SHA_256 and key spec RSA_4096',
    oaep('RSA_4096', 'SHA_256', 446),
  ],
  [
    'ValidationException',
    'Alias must start',
    request('CreateAlias', { AliasName: 'a', TargetKeyId: ABSENT }),
    request('UpdateAlias', { AliasName: 'a', TargetKeyId: ABSENT }),
    request('DeleteAlias', { AliasName: 'a' }),
  ],
  [
    'ValidationException',
    'Digest is invalid length for algorithm ECDSA_SHA_256.',
    digest('ECC_NIST_P256', 'ECDSA_SHA_256'),
  ],
  [
    'ValidationException',
    'Digest is invalid length for algorithm ECDSA_SHA_384.',
    digest('ECC_NIST_P384', 'ECDSA_SHA_384'),
  ],
  ...['PKCS1_V1_5_SHA_256', 'PKCS1_V1_5_SHA_512', 'PSS_SHA_256', 'PSS_SHA_384', 'PSS_SHA_512'].map(
    (name) =>
      [
        'ValidationException',
        `Digest is invalid length for algorithm RSASSA_${name}.`,
        digest('RSA_2048', `RSASSA_${name}`),
      ] as const,
  ),
  [
    'ValidationException',
    'KeyUsage KEY_AGREEMENT',
    request('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'KEY_AGREEMENT' }, ['DeriveSharedSecret']),
  ],
  ['ValidationException', 'NumberOfBytes is required.', request('GenerateRandom', {})],
  ['ValidationException', 'You must specify a KeyUsage', request('CreateKey', { KeySpec: 'RSA_2048' })],
]
