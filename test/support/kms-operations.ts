import { randomBytes, randomUUID } from 'node:crypto'
import type { KmsAction } from '../../src/core/authorize/authorize.ts'
import { detach } from '../../src/core/envelope/detached-envelope.ts'
import { isKmsError } from '../../src/core/errors.ts'
import type { MasterKey } from '../../src/core/key.ts'
import type { Kms } from '../../src/core/kms.ts'
import type { CallContext } from '../../src/core/kms-context.ts'
import type { CreateKeyInput } from '../../src/core/ops/create-key.ts'
import type { TrackedOperation } from '../../src/core/ports/key-use-store.ts'
import { ALICE, call, kmsFixture } from './kms-fixture.ts'
import { wrapMaterial } from './wrap-material.ts'

const KEYS = {
  sealing: {},
  regional: { multiRegion: true },
  external: { origin: 'EXTERNAL' },
  signing: { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' },
  maccing: { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' },
  agreeing: { spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT' },
  pending: {},
} as const satisfies Record<string, CreateKeyInput>
type StagedKey = keyof typeof KEYS

const ALIAS = 'alias/one'
const AWAY = 'eu-central-1'
const MESSAGE = Buffer.from('a message')
const SIGNED = { algorithm: 'ECDSA_SHA_256', kind: 'message', message: MESSAGE } as const
const MACCED = { algorithm: 'HMAC_SHA_256', message: MESSAGE } as const
const PAIR = { spec: 'EC_P256', presentation: 'pkcs8-der', waitMs: 0 } as const
const WRAPPING = { algorithm: 'RSAES_OAEP_SHA_256', spec: 'RSA_2048', waitMs: 0 } as const
const PAGE = { limit: 10 }
const ROOT = { kind: 'arn', name: `arn:aws:iam::${ALICE.accountId}:root` } as const
const STATEMENT = { Effect: 'Allow', Principal: { AWS: ROOT.name }, Action: 'kms:*', Resource: '*' }
const POLICY = JSON.stringify({ Version: '2012-10-17', Statement: [STATEMENT] })
const GRANT = { grantee: ROOT, operations: ['Decrypt'] } as const

/** What each operation can be asked with so that it succeeds, once. */
export async function stageOperations() {
  const fixture = kmsFixture()
  const { kms } = fixture
  fixture.versions.intervalMs = 0
  const made: [string, MasterKey][] = []
  for (const [name, input] of Object.entries(KEYS)) made.push([name, await kms.createKey(call(), input)])
  const keys = Object.fromEntries(made) as Record<StagedKey, MasterKey>
  const named = (name: StagedKey) => ({ kind: 'id', keyId: keys[name].keyId }) as const
  const id = (name: StagedKey) => keys[name].keyId
  await kms.replicateKey(call(), { keyId: id('regional'), region: AWAY })
  await kms.scheduleKeyDeletion(call(), id('pending'), 7)
  await kms.createAlias(call(), ALIAS, named('sealing'))
  const { blob } = await kms.encrypt(call(), { key: named('sealing'), plaintext: MESSAGE })
  const openApi = { layout: 'openapi', presentation: 'raw' } as const
  const other = await kms.encrypt(call(), { key: named('sealing'), plaintext: MESSAGE, style: openApi })
  const parameters = await kms.getParametersForImport(call(), { keyId: id('external'), ...WRAPPING })
  const wrapped = wrapMaterial(WRAPPING.algorithm, parameters.publicKey, randomBytes(32))
  return {
    fixture,
    keys,
    named,
    id,
    blob,
    detached: detach(other.blob),
    signature: (await kms.sign(call(), { key: named('signing'), ...SIGNED })).signature,
    mac: (await kms.generateMac(call(), { key: named('maccing'), ...MACCED })).mac,
    peer: (await kms.getPublicKey(call(), named('signing'))).publicKey,
    grant: await kms.createGrant(call(), id('sealing'), GRANT),
    imported: { keyId: id('external'), importToken: parameters.importToken, wrapped },
  }
}

export type OperationStage = Awaited<ReturnType<typeof stageOperations>>

interface OperationRow {
  /** The actions that it must be allowed, in the order in which it asks. */
  readonly asks: readonly KmsAction[]
  /** What it is as the last use of which keys, where it uses any for cryptography. */
  readonly uses?: { readonly operation: TrackedOperation; readonly keys: readonly StagedKey[] }
  readonly run: (kms: Kms, context: CallContext, stage: OperationStage) => Promise<unknown>
}

const using = (operation: TrackedOperation, ...keys: readonly StagedKey[]) => ({ operation, keys })

/** What an operation ends with that is allowed and never carried out. */
async function unsupported(refused: Promise<never>): Promise<void> {
  await refused.catch((error: unknown) => {
    if (!isKmsError(error, 'UNSUPPORTED')) throw error
  })
}

/** Every operation of `Kms`: a new one fails the type check until it has a row, and with that its tests. */
export const KMS_OPERATIONS: Readonly<Record<keyof Kms, OperationRow>> = {
  createKey: { asks: ['CreateKey'], run: (kms, c) => kms.createKey(c, {}) },
  ensureKey: { asks: ['CreateKey'], run: (kms, c) => kms.ensureKey(c, { keyId: randomUUID() }) },
  // Of the operator, who owns the store.
  ensureAlias: { asks: [], run: (kms, c, { id }) => kms.ensureAlias(c, 'alias/two', id('sealing')) },
  describeKey: { asks: ['DescribeKey'], run: (kms, c, { named }) => kms.describeKey(c, named('sealing')) },
  updateKeyDescription: {
    asks: ['UpdateKeyDescription'],
    run: (kms, c, { id }) => kms.updateKeyDescription(c, id('sealing'), 'another'),
  },
  getKeyLastUsage: {
    asks: ['GetKeyLastUsage'],
    run: (kms, c, { id }) => kms.getKeyLastUsage(c, id('sealing')),
  },
  listKeys: { asks: ['ListKeys'], run: (kms, c) => kms.listKeys(c, PAGE) },
  enableKey: { asks: ['EnableKey'], run: (kms, c, { id }) => kms.enableKey(c, id('sealing')) },
  disableKey: { asks: ['DisableKey'], run: (kms, c, { id }) => kms.disableKey(c, id('sealing')) },
  replicateKey: {
    asks: ['ReplicateKey'],
    run: (kms, c, { id }) => kms.replicateKey(c, { keyId: id('regional'), region: 'ap-northeast-3' }),
  },
  updatePrimaryRegion: {
    asks: ['UpdatePrimaryRegion'],
    run: (kms, c, { id }) => kms.updatePrimaryRegion(c, id('regional'), AWAY),
  },
  // Of a key that the caller was given.
  regionsOf: { asks: [], run: (kms, _, { keys }) => kms.regionsOf(keys.regional) },
  scheduleKeyDeletion: {
    asks: ['ScheduleKeyDeletion'],
    run: (kms, c, { id }) => kms.scheduleKeyDeletion(c, id('sealing'), 7),
  },
  cancelKeyDeletion: {
    asks: ['CancelKeyDeletion'],
    run: (kms, c, { id }) => kms.cancelKeyDeletion(c, id('pending')),
  },
  setDeletionProtection: {
    asks: ['SetDeletionProtection'],
    run: (kms, c, { id }) => kms.setDeletionProtection(c, id('sealing'), 'needed'),
  },
  enableKeyRotation: {
    asks: ['EnableKeyRotation'],
    run: (kms, c, { id }) => kms.enableKeyRotation(c, id('sealing'), 365),
  },
  disableKeyRotation: {
    asks: ['DisableKeyRotation'],
    run: (kms, c, { id }) => kms.disableKeyRotation(c, id('sealing')),
  },
  getKeyRotationStatus: {
    asks: ['GetKeyRotationStatus'],
    run: (kms, c, { id }) => kms.getKeyRotationStatus(c, id('sealing')),
  },
  rotateKeyOnDemand: {
    asks: ['RotateKeyOnDemand'],
    run: (kms, c, { id }) => kms.rotateKeyOnDemand(c, id('sealing')),
  },
  createKeyVersion: {
    asks: ['CreateKeyVersion'],
    run: (kms, c, { named }) => kms.createKeyVersion(c, { key: named('signing'), waitMs: 0 }),
  },
  listKeyRotations: {
    asks: ['ListKeyRotations'],
    run: (kms, c, { id }) => kms.listKeyRotations(c, id('sealing'), { ...PAGE, all: true }),
  },
  getParametersForImport: {
    asks: ['GetParametersForImport'],
    run: (kms, c, { id }) => kms.getParametersForImport(c, { keyId: id('external'), ...WRAPPING }),
  },
  importKeyMaterial: {
    asks: ['ImportKeyMaterial'],
    run: (kms, c, { imported }) => kms.importKeyMaterial(c, imported),
  },
  deleteImportedKeyMaterial: {
    asks: ['DeleteImportedKeyMaterial'],
    run: (kms, c, { id }) => kms.deleteImportedKeyMaterial(c, id('external'), undefined),
  },
  createAlias: {
    asks: ['CreateAlias'],
    run: (kms, c, { named }) => kms.createAlias(c, 'alias/two', named('sealing')),
  },
  updateAlias: {
    asks: ['UpdateAlias'],
    run: (kms, c, { named }) => kms.updateAlias(c, ALIAS, named('regional')),
  },
  deleteAlias: { asks: ['DeleteAlias'], run: (kms, c) => kms.deleteAlias(c, ALIAS) },
  listAliases: { asks: ['ListAliases'], run: (kms, c) => kms.listAliases(c, PAGE) },
  encrypt: {
    asks: ['Encrypt'],
    uses: using('Encrypt', 'sealing'),
    run: (kms, c, { named }) => kms.encrypt(c, { key: named('sealing'), plaintext: MESSAGE }),
  },
  decrypt: {
    asks: ['Decrypt'],
    uses: using('Decrypt', 'sealing'),
    run: (kms, c, { blob }) => kms.decrypt(c, { blob }),
  },
  decryptDetached: {
    asks: ['Decrypt'],
    uses: using('Decrypt', 'sealing'),
    run: (kms, c, { named, detached }) =>
      kms.decryptDetached(c, {
        key: named('sealing'),
        ...detached,
        aad: { kind: 'context', context: new Map() },
      }),
  },
  reEncrypt: {
    asks: ['ReEncryptTo', 'ReEncryptFrom'],
    uses: using('ReEncrypt', 'sealing', 'regional'),
    run: (kms, c, { blob, named }) => kms.reEncrypt(c, { blob, destinationKey: named('regional') }),
  },
  generateDataKey: {
    asks: ['GenerateDataKey'],
    uses: using('GenerateDataKey', 'sealing'),
    run: (kms, c, { named }) => kms.generateDataKey(c, { key: named('sealing'), lengthBytes: 32 }),
  },
  generateDataKeyWithoutPlaintext: {
    asks: ['GenerateDataKeyWithoutPlaintext'],
    uses: using('GenerateDataKeyWithoutPlaintext', 'sealing'),
    run: (kms, c, { named }) =>
      kms.generateDataKeyWithoutPlaintext(c, { key: named('sealing'), lengthBytes: 32 }),
  },
  generateDataKeyPair: {
    asks: ['GenerateDataKeyPair'],
    uses: using('GenerateDataKeyPair', 'sealing'),
    run: (kms, c, { named }) => kms.generateDataKeyPair(c, { key: named('sealing'), ...PAIR }),
  },
  generateDataKeyPairWithoutPlaintext: {
    asks: ['GenerateDataKeyPairWithoutPlaintext'],
    uses: using('GenerateDataKeyPairWithoutPlaintext', 'sealing'),
    run: (kms, c, { named }) =>
      kms.generateDataKeyPairWithoutPlaintext(c, { key: named('sealing'), ...PAIR }),
  },
  sign: {
    asks: ['Sign'],
    uses: using('Sign', 'signing'),
    run: (kms, c, { named }) => kms.sign(c, { key: named('signing'), ...SIGNED }),
  },
  verify: {
    asks: ['Verify'],
    uses: using('Verify', 'signing'),
    run: (kms, c, { named, signature }) => kms.verify(c, { key: named('signing'), ...SIGNED, signature }),
  },
  generateMac: {
    asks: ['GenerateMac'],
    uses: using('GenerateMac', 'maccing'),
    run: (kms, c, { named }) => kms.generateMac(c, { key: named('maccing'), ...MACCED }),
  },
  verifyMac: {
    asks: ['VerifyMac'],
    uses: using('VerifyMac', 'maccing'),
    run: (kms, c, { named, mac }) => kms.verifyMac(c, { key: named('maccing'), ...MACCED, mac }),
  },
  getPublicKey: { asks: ['GetPublicKey'], run: (kms, c, { named }) => kms.getPublicKey(c, named('signing')) },
  deriveSharedSecret: {
    asks: ['DeriveSharedSecret'],
    uses: using('DeriveSharedSecret', 'agreeing'),
    run: (kms, c, { named, peer }) =>
      kms.deriveSharedSecret(c, { key: named('agreeing'), algorithm: 'ECDH', publicKey: peer }),
  },
  // No token is asked for these.
  encapsulate: {
    asks: ['Encapsulate'],
    run: (kms, c, { named }) => unsupported(kms.encapsulate(c, named('signing'))),
  },
  decapsulate: {
    asks: ['Decapsulate'],
    run: (kms, c, { named }) => unsupported(kms.decapsulate(c, named('signing'))),
  },
  generateRandom: { asks: ['GenerateRandom'], run: (kms, c) => kms.generateRandom(c, 32) },
  tagResource: {
    asks: ['TagResource'],
    run: (kms, c, { id }) => kms.tagResource(c, id('sealing'), [{ key: 'a', value: 'b' }]),
  },
  untagResource: {
    asks: ['UntagResource'],
    run: (kms, c, { id }) => kms.untagResource(c, id('sealing'), ['a']),
  },
  listResourceTags: {
    asks: ['ListResourceTags'],
    run: (kms, c, { id }) => kms.listResourceTags(c, id('sealing'), PAGE),
  },
  putKeyPolicy: {
    asks: ['PutKeyPolicy'],
    run: (kms, c, { id }) =>
      kms.putKeyPolicy(c, id('sealing'), { language: 'AWS', policy: POLICY, bypassLockoutCheck: false }),
  },
  getKeyPolicy: {
    asks: ['GetKeyPolicy'],
    run: (kms, c, { id }) => kms.getKeyPolicy(c, id('sealing'), 'AWS'),
  },
  listKeyPolicies: {
    asks: ['ListKeyPolicies'],
    run: (kms, c, { id }) => kms.listKeyPolicies(c, id('sealing')),
  },
  createGrant: {
    asks: ['CreateGrant'],
    run: (kms, c, { id }) => kms.createGrant(c, id('sealing'), GRANT),
  },
  listGrants: { asks: ['ListGrants'], run: (kms, c, { id }) => kms.listGrants(c, id('sealing'), PAGE) },
  listRetirableGrants: {
    asks: ['ListRetirableGrants'],
    run: (kms, c) => kms.listRetirableGrants(c, ROOT, PAGE),
  },
  retireGrant: {
    asks: ['RetireGrant'],
    run: (kms, c, { grant: { token } }) => kms.retireGrant(c, { token }),
  },
  revokeGrant: {
    asks: ['RevokeGrant'],
    run: (kms, c, { id, grant: { grantId } }) => kms.revokeGrant(c, id('sealing'), grantId),
  },
}
