/** How a field is encoded (Protocol Buffers, "Scalar Value Types"); `strings` is a repeated string. */
type FieldKind = 'string' | 'bytes' | 'int32' | 'bool' | 'strings'

export type MessageRow = Readonly<Record<string, readonly [number: number, kind: FieldKind]>>

const ENCRYPT_REQUEST = {
  KeyId: [1, 'string'],
  Plaintext: [2, 'bytes'],
  Algorithm: [3, 'string'],
  Aad: [4, 'bytes'],
  Iv: [5, 'bytes'],
  PaddingMode: [6, 'string'],
} as const satisfies MessageRow

const ENCRYPT_RESPONSE = {
  KeyId: [1, 'string'],
  CiphertextBlob: [2, 'bytes'],
  Iv: [3, 'bytes'],
  RequestId: [4, 'string'],
  Algorithm: [5, 'string'],
  PaddingMode: [6, 'string'],
} as const satisfies MessageRow

const DECRYPT_REQUEST = {
  CiphertextBlob: [1, 'bytes'],
  KeyId: [2, 'string'],
  Algorithm: [3, 'string'],
  Aad: [4, 'bytes'],
  Iv: [5, 'bytes'],
  PaddingMode: [6, 'string'],
} as const satisfies MessageRow

const DECRYPT_RESPONSE = {
  KeyId: [1, 'string'],
  Plaintext: [2, 'bytes'],
  RequestId: [3, 'string'],
  Algorithm: [4, 'string'],
  PaddingMode: [5, 'string'],
} as const satisfies MessageRow

const KEY_PAIR_REQUEST = {
  KeyId: [1, 'string'],
  Algorithm: [2, 'string'],
  KeyPairSpec: [3, 'string'],
  KeyFormat: [4, 'string'],
  Aad: [5, 'bytes'],
} as const satisfies MessageRow

const ADVANCE_KEY_PAIR_REQUEST = {
  KeyId: [1, 'string'],
  KeyPairSpec: [2, 'string'],
  KeyFormat: [3, 'string'],
  Aad: [4, 'bytes'],
} as const satisfies MessageRow

const KEY_PAIR_RESPONSE = {
  KeyId: [1, 'string'],
  Iv: [2, 'bytes'],
  KeyPairSpec: [3, 'string'],
  PrivateKeyPlaintext: [4, 'bytes'],
  PrivateKeyCiphertextBlob: [5, 'bytes'],
  PublicKey: [6, 'bytes'],
  RequestId: [7, 'string'],
  Algorithm: [8, 'string'],
} as const satisfies MessageRow

const SEALED_KEY_PAIR_RESPONSE = {
  KeyId: [1, 'string'],
  Iv: [2, 'bytes'],
  KeyPairSpec: [3, 'string'],
  PrivateKeyCiphertextBlob: [4, 'bytes'],
  PublicKey: [5, 'bytes'],
  RequestId: [6, 'string'],
  Algorithm: [7, 'string'],
} as const satisfies MessageRow

/**
 * The messages of dkms-gcs-0.2, package `api`, proto3: field numbers as the official SDKs have them. The documentation prints
 * other numbers for GenerateDataKeyRequest, which no SDK uses.
 */
export const MESSAGES = {
  Error: {
    StatusCode: [1, 'int32'],
    ErrorCode: [2, 'string'],
    ErrorMessage: [3, 'string'],
    RequestId: [4, 'string'],
  },
  EncryptRequest: ENCRYPT_REQUEST,
  EncryptResponse: ENCRYPT_RESPONSE,
  DecryptRequest: DECRYPT_REQUEST,
  DecryptResponse: DECRYPT_RESPONSE,
  SignRequest: {
    KeyId: [1, 'string'],
    Digest: [2, 'bytes'],
    Algorithm: [3, 'string'],
    Message: [4, 'bytes'],
    MessageType: [5, 'string'],
  },
  SignResponse: {
    KeyId: [1, 'string'],
    Signature: [2, 'bytes'],
    RequestId: [3, 'string'],
    Algorithm: [4, 'string'],
    MessageType: [5, 'string'],
  },
  VerifyRequest: {
    KeyId: [1, 'string'],
    Digest: [2, 'bytes'],
    Signature: [3, 'bytes'],
    Algorithm: [4, 'string'],
    Message: [5, 'bytes'],
    MessageType: [6, 'string'],
  },
  VerifyResponse: {
    KeyId: [1, 'string'],
    Value: [2, 'bool'],
    RequestId: [3, 'string'],
    Algorithm: [4, 'string'],
    MessageType: [5, 'string'],
  },
  HmacRequest: { KeyId: [1, 'string'], Message: [2, 'bytes'] },
  HmacResponse: { KeyId: [1, 'string'], Signature: [2, 'bytes'], RequestId: [3, 'string'] },
  GenerateRandomRequest: { Length: [1, 'int32'] },
  GenerateRandomResponse: { Random: [1, 'bytes'], RequestId: [2, 'string'] },
  GenerateDataKeyRequest: {
    KeyId: [1, 'string'],
    Algorithm: [2, 'string'],
    NumberOfBytes: [3, 'int32'],
    Aad: [4, 'bytes'],
  },
  GenerateDataKeyResponse: {
    KeyId: [1, 'string'],
    Iv: [2, 'bytes'],
    Plaintext: [3, 'bytes'],
    CiphertextBlob: [4, 'bytes'],
    RequestId: [5, 'string'],
    Algorithm: [6, 'string'],
  },
  GetPublicKeyRequest: { KeyId: [1, 'string'] },
  GetPublicKeyResponse: { KeyId: [1, 'string'], PublicKey: [2, 'string'], RequestId: [3, 'string'] },
  GetSecretValueRequest: {
    SecretName: [1, 'string'],
    VersionStage: [2, 'string'],
    VersionId: [3, 'string'],
    FetchExtendedConfig: [4, 'bool'],
  },
  GetSecretValueResponse: {
    SecretName: [1, 'string'],
    SecretType: [2, 'string'],
    SecretData: [3, 'string'],
    SecretDataType: [4, 'string'],
    VersionStages: [5, 'strings'],
    VersionId: [6, 'string'],
    CreateTime: [7, 'string'],
    RequestId: [8, 'string'],
    LastRotationDate: [9, 'string'],
    NextRotationDate: [10, 'string'],
    ExtendedConfig: [11, 'string'],
    AutomaticRotation: [12, 'string'],
    RotationInterval: [13, 'string'],
  },
  AdvanceEncryptRequest: ENCRYPT_REQUEST,
  AdvanceEncryptResponse: { ...ENCRYPT_RESPONSE, KeyVersionId: [7, 'string'] },
  AdvanceDecryptRequest: DECRYPT_REQUEST,
  AdvanceDecryptResponse: { ...DECRYPT_RESPONSE, KeyVersionId: [6, 'string'] },
  AdvanceGenerateDataKeyRequest: { KeyId: [1, 'string'], NumberOfBytes: [2, 'int32'], Aad: [3, 'bytes'] },
  AdvanceGenerateDataKeyResponse: {
    KeyId: [1, 'string'],
    Iv: [2, 'bytes'],
    Plaintext: [3, 'bytes'],
    CiphertextBlob: [4, 'bytes'],
    RequestId: [5, 'string'],
    Algorithm: [6, 'string'],
    KeyVersionId: [7, 'string'],
  },
  GenerateDataKeyPairRequest: KEY_PAIR_REQUEST,
  GenerateDataKeyPairResponse: KEY_PAIR_RESPONSE,
  GenerateDataKeyPairWithoutPlaintextRequest: KEY_PAIR_REQUEST,
  GenerateDataKeyPairWithoutPlaintextResponse: SEALED_KEY_PAIR_RESPONSE,
  AdvanceGenerateDataKeyPairRequest: ADVANCE_KEY_PAIR_REQUEST,
  AdvanceGenerateDataKeyPairResponse: { ...KEY_PAIR_RESPONSE, KeyVersionId: [9, 'string'] },
  AdvanceGenerateDataKeyPairWithoutPlaintextRequest: ADVANCE_KEY_PAIR_REQUEST,
  AdvanceGenerateDataKeyPairWithoutPlaintextResponse: {
    ...SEALED_KEY_PAIR_RESPONSE,
    KeyVersionId: [8, 'string'],
  },
} as const satisfies Readonly<Record<string, MessageRow>>

export type MessageName = keyof typeof MESSAGES

interface FieldValues {
  readonly string: string
  readonly bytes: Buffer
  readonly int32: number
  readonly bool: boolean
  readonly strings: readonly string[]
}

type KindOf<Row> = Row extends readonly [number, infer Kind extends FieldKind] ? Kind : never

/** A message as the program has it. A field that was not sent has the default of its kind: empty, 0 or false. */
export type Message<Name extends MessageName> = {
  readonly [Field in keyof (typeof MESSAGES)[Name]]: FieldValues[KindOf<(typeof MESSAGES)[Name][Field]>]
}
