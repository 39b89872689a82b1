import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { isKmsError, KmsError } from '../errors.ts'
import { requireKey, requireState } from '../find-key.ts'
import type { MasterKey } from '../key.ts'
import { pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { ImportPair, WrappingAlgorithm, WrappingKeySpec } from '../ports/import-store.ts'
import type { ImportWrapping } from '../ports/material-importer.ts'
import { inTime } from './in-time.ts'

/** How long an import token is good for. AWS KMS, "GetParametersForImport". */
const IMPORT_TOKEN_MS = 86_400_000
/** Import tokens of one key at a time: each keeps a key pair in the token. */
const PAIRS_PER_KEY_MAX = 8

/** Import token: format, id of the pair, secret. Opaque to callers. */
const IMPORT_TOKEN = { format: 0x01, idAt: 1, secretAt: 17, bytes: 49, secretBytes: 32 } as const

export interface ImportParameters {
  readonly key: MasterKey
  readonly importToken: Buffer
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer
  readonly expiresAt: number
}

export interface ImportParametersInput {
  readonly keyId: string
  readonly algorithm: WrappingAlgorithm
  readonly spec: WrappingKeySpec
  /** How long to wait while the token makes other pairs; 0 to be refused at once. Milliseconds. */
  readonly waitMs: number
}

/**
 * Makes a key pair in the token that material for one key may be wrapped for. First its row, then its objects, then the row says
 * that they are there; what a crash leaves, and what has ended, is destroyed by maintenance.
 *
 * @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `KEY_STATE_INVALID`, `LIMIT_EXCEEDED`, `TOKEN_BUSY`, `TOKEN_TIMEOUT`, `UNSUPPORTED`.
 */
export async function getParametersForImport(
  deps: KmsDeps,
  context: CallContext,
  { keyId, algorithm, spec, waitMs }: ImportParametersInput,
): Promise<ImportParameters> {
  const key = await requireKey(deps, context, 'GetParametersForImport', { kind: 'id', keyId })
  requireImportable(key)
  requireFitting(key, algorithm, spec)
  await requireRoom(deps, key)
  const secret = randomBytes(IMPORT_TOKEN.secretBytes)
  const now = deps.clock.now()
  const pair: ImportPair = {
    pairId: deps.newId(),
    accountId: key.accountId,
    region: key.region,
    keyId,
    token: key.token,
    algorithm,
    spec,
    secretHash: hash('sha256', secret, 'hex'),
    state: 'Making',
    createdAt: now,
    expiresAt: now + IMPORT_TOKEN_MS,
  }
  const { spec: keySpec, usage } = key
  const publicKey = await makePair(deps, context, pair, { spec: keySpec, usage }, waitMs)
  const importToken = Buffer.concat([
    Buffer.of(IMPORT_TOKEN.format),
    Buffer.from(pair.pairId.replaceAll('-', ''), 'hex'),
    secret,
  ])
  return { key, importToken, publicKey, expiresAt: pair.expiresAt }
}

async function requireRoom(
  { imports }: KmsDeps,
  { region, keyId }: Pick<MasterKey, 'region' | 'keyId'>,
): Promise<void> {
  if ((await imports.countImportPairs(region, keyId)) < PAIRS_PER_KEY_MAX) return
  const message = `The key has ${PAIRS_PER_KEY_MAX} import tokens already.`
  throw new KmsError('LIMIT_EXCEEDED', message, { limit: 'import tokens of a key' })
}

/** What the token makes too late for the caller is undone: nobody has the import token for it. */
async function makePair(
  deps: KmsDeps,
  context: CallContext,
  pair: ImportPair,
  material: ImportWrapping['material'],
  waitMs: number,
): Promise<Buffer> {
  const leftMs = Math.max(0, context.deadlineAt - Date.now())
  const work = deps.pairs.use(pair, Math.min(waitMs, leftMs), async (deadlineAt) => {
    // Others that waited before the gate as well may have made theirs meanwhile.
    await requireRoom(deps, pair)
    await deps.imports.createImportPair(pair)
    const { token, pairId, algorithm, spec } = pair
    const options = { deadlineAt, timings: context.trail.timings }
    const { publicKey } = await deps.provider
      .createImportPair({ token, pairId }, { algorithm, spec, material }, options)
      .catch(async (error: unknown) => {
        // Nothing is left of it then. Of whatever else went wrong maintenance looks for what is left.
        if (isKmsError(error, 'UNSUPPORTED')) await deps.imports.deleteImportPair(pairId)
        throw error
      })
    const late = Date.now() > context.deadlineAt
    if (!late && (await deps.imports.moveImportPair(pairId, 'Making', 'Ready'))) return publicKey
    await deps.provider.destroyImportPair({ token, pairId }, options)
    await deps.imports.deleteImportPair(pairId)
    throw new KmsError('TOKEN_TIMEOUT', 'The token did not make the key pair in time.', { token })
  })
  return inTime(work, context.deadlineAt, pair.token)
}

/**
 * RSAES-OAEP takes no more than the modulus holds (AWS KMS, "GetParametersForImport").
 *
 * @throws {@link KmsError} `UNSUPPORTED`
 */
function requireFitting({ spec }: MasterKey, algorithm: WrappingAlgorithm, wrapping: WrappingKeySpec): void {
  if (!algorithm.startsWith('RSAES_OAEP')) return
  const isLong = pairOfSpec(spec)?.kind === 'rsa'
  if (!isLong && !(spec === 'ECC_NIST_P521' && wrapping === 'RSA_2048')) return
  const message = `Key material of a key of spec ${spec} is too long for ${algorithm} with a wrapping key of spec ${wrapping}.`
  throw new KmsError('UNSUPPORTED', message, {})
}

/** @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `KEY_STATE_INVALID` */
export function requireImportable(key: MasterKey): void {
  const { keyId, origin = 'AWS_KMS' } = key
  if (origin !== 'EXTERNAL')
    throw new KmsError('KEY_ORIGIN_INVALID', 'The material of the key is not imported.', { keyId, origin })
  requireState(key, 'Enabled', 'Disabled', 'PendingImport')
}

/**
 * The key pair that an import token goes with. A token is good for the one key that it was made for, its account and region, and
 * the algorithm that was asked for, which are all in the row of the pair.
 *
 * @param importToken - Reads untrusted bytes.
 * @throws {@link KmsError} `IMPORT_TOKEN_INVALID`, `IMPORT_TOKEN_EXPIRED`
 */
export async function requireImportPair(
  deps: KmsDeps,
  key: MasterKey,
  importToken: Buffer,
): Promise<ImportPair> {
  const invalid = () =>
    new KmsError('IMPORT_TOKEN_INVALID', 'The import token is not valid for this key.', {})
  if (importToken.length !== IMPORT_TOKEN.bytes || importToken[0] !== IMPORT_TOKEN.format) throw invalid()
  const pair = await deps.imports.getImportPair(
    uuidOf(importToken.subarray(IMPORT_TOKEN.idAt, IMPORT_TOKEN.secretAt)),
  )
  const given = hash('sha256', importToken.subarray(IMPORT_TOKEN.secretAt), 'buffer')
  const known = Buffer.from(pair?.secretHash ?? '', 'hex')
  if (!pair || known.length !== given.length || !timingSafeEqual(known, given)) throw invalid()
  const { keyId, region, accountId, token } = key
  const isOfKey = pair.keyId === keyId && pair.region === region && pair.accountId === accountId
  if (!isOfKey || pair.token !== token || pair.state === 'Making') throw invalid()
  if (pair.state === 'Ended' || pair.expiresAt <= deps.clock.now())
    throw new KmsError('IMPORT_TOKEN_EXPIRED', 'The import token has expired.', {})
  return pair
}

function uuidOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
