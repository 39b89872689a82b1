import { isKmsError, KmsError } from '../errors.ts'
import { requireKey, requireVersion, tokenRef } from '../find-key.ts'
import { blankVersion, pendingMaterial } from '../imported-material.ts'
import type { ImportedMaterial, KeyVersion, MasterKey } from '../key.ts'
import { isSymmetric } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import { keyMaterialId } from '../material-id.ts'
import type { CallOptions } from '../ports/crypto-provider.ts'
import type { ImportPair } from '../ports/import-store.ts'
import { changeKey } from './change-key.ts'
import { requireImportable, requireImportPair } from './import-parameters.ts'
import { openCanary, sealCanary, type TokenMaterial } from './material-canary.ts'
import {
  abandonImport,
  type ChangedMaterial,
  endDestroying,
  IMPORTING_MS_MAX,
  isSameImport,
  moveMaterial,
  placeOf,
} from './move-material.ts'
import { callOptions } from './seal-payload.ts'

/** What the calls of the token leave of the time after which an import is given up. */
const IMPORT_MARGIN_MS = 10_000

export interface ImportInput {
  readonly keyId: string
  readonly importToken: Buffer
  /** 1 to 6144 bytes. */
  readonly wrapped: Buffer
  /** Milliseconds since the epoch, in the future; never when absent. */
  readonly expiresAt?: number | undefined
  /** New where the key never had any and existing where it had, when absent. */
  readonly type?: 'NEW' | 'EXISTING' | undefined
  /** The version that the material has to be of, by its key material id. */
  readonly materialId?: string | undefined
  readonly description?: string | undefined
}

/** One import that is under way. */
interface Task {
  readonly deps: KmsDeps
  readonly context: CallContext
  readonly input: ImportInput
  readonly pair: ImportPair
  readonly options: CallOptions
}

/**
 * Imports material. The version that it comes to is claimed in the row, then its objects are made, then a text that was sealed
 * under the material tells whether it is the same as before, then the row says that it is there. Whatever is cut short is undone
 * by maintenance: the owner has the material still.
 *
 * @throws {@link KmsError} `KEY_ORIGIN_INVALID`, `KEY_STATE_INVALID`, `IMPORT_TOKEN_INVALID`, `IMPORT_TOKEN_EXPIRED`,
 *   `MATERIAL_PENDING`, `MATERIAL_INCORRECT`, `MATERIAL_UNREADABLE`, `UNSUPPORTED`, `CONFLICT`.
 */
export async function importKeyMaterial(
  deps: KmsDeps,
  context: CallContext,
  input: ImportInput,
): Promise<ChangedMaterial> {
  const key = await requireToImport(deps, context, input.keyId)
  requireSeriesOf(key, input)
  const pair = await requireImportPair(deps, key, input.importToken)
  if (input.expiresAt !== undefined && input.expiresAt <= deps.clock.now())
    throw new KmsError('REQUEST_INVALID', 'The validTo date must be in the future.', { field: 'ValidTo' })
  const deadlineAt = Math.min(context.deadlineAt, Date.now() + IMPORTING_MS_MAX - IMPORT_MARGIN_MS)
  const task = { deps, context, input, pair, options: { deadlineAt, timings: context.trail.timings } }
  const known = key.versions.filter(({ imported }) => imported?.canary !== undefined)
  const type = input.type ?? (known.length > 0 ? 'EXISTING' : 'NEW')
  return type === 'NEW' ? importNew(task, key) : importExisting(task, key, known)
}

/** Keys of other specs than symmetric ones have one material (AWS KMS, "ImportKeyMaterial"). */
function requireSeriesOf({ spec }: MasterKey, { type, materialId, description }: ImportInput): void {
  if (isSymmetric(spec) || [type, materialId, description].every((one) => one === undefined)) return
  throw new KmsError('UNSUPPORTED', `Only symmetric encryption keys have several materials, not ${spec}.`, {})
}

/** What has expired or is being destroyed is ended first: the same material may come again at once. */
async function requireToImport(deps: KmsDeps, context: CallContext, keyId: string): Promise<MasterKey> {
  const read = async () => {
    deps.directory.forgetKey(context.principal.region, keyId)
    return requireKey(deps, context, 'ImportKeyMaterial', { kind: 'id', keyId })
  }
  const key = await read()
  requireImportable(key)
  if (key.versions.every(({ imported }) => imported?.state !== 'Destroying')) return key
  await endDestroying(deps, key, callOptions(context))
  return read()
}

async function importNew(task: Task, key: MasterKey): Promise<ChangedMaterial> {
  const refuse = (before: MasterKey) => refuseSecondPending(task, before)
  const { claimed, version } = await claim(task, key, undefined, refuse)
  return guarded(task, claimed, version, async () => {
    const brought = await bring(task, claimed, version)
    if (await findMatch(task, claimed, version, brought)) throw incorrect()
    const canary = await sealCanary(task.deps.provider, brought, task.options)
    return finish(task, claimed, version, canary, brought.publicKey?.toString('base64'))
  })
}

async function importExisting(
  task: Task,
  key: MasterKey,
  known: readonly KeyVersion[],
): Promise<ChangedMaterial> {
  const { materialId } = task.input
  const candidates = known.filter((one) => materialId === undefined || keyMaterialId(one) === materialId)
  const [only, another] = candidates
  if (!only) throw incorrect()
  if (!another && only.imported?.state === 'PendingImport') return bringBack(task, key, only)
  const match = await recognize(task, key)
  if (!match || !candidates.some(({ versionId }) => versionId === match.versionId)) throw incorrect()
  const renewed = await renew(task, key, match)
  return renewed ?? bringBack(task, key, match)
}

/** Brings material to a place where nothing is, sees which version's it is, and takes it away again. */
async function recognize(task: Task, key: MasterKey): Promise<KeyVersion | undefined> {
  const { claimed, version } = await claim(task, key, undefined)
  try {
    return await findMatch(task, claimed, version, await bring(task, claimed, version))
  } finally {
    await abandonImport(task.deps, claimed, version)
  }
}

/** Material that is there stays, with another end and another description. */
async function renew(task: Task, key: MasterKey, version: KeyVersion): Promise<ChangedMaterial | undefined> {
  const renewed = await moveMaterial(task.deps, placeOf(key, version), (imported) =>
    imported.state === 'Imported' ? importedBy(task, imported) : undefined,
  )
  return renewed && { key: renewed, version: requireVersion(renewed, version.versionId) }
}

async function bringBack(task: Task, key: MasterKey, wanted: KeyVersion): Promise<ChangedMaterial> {
  const { claimed, version } = await claim(task, key, wanted)
  return guarded(task, claimed, version, async () => {
    const brought = await bring(task, claimed, version)
    const canary = version.imported?.canary ?? ''
    if (!(await openCanary(task.deps.provider, brought, canary, task.options))) throw incorrect()
    return finish(task, claimed, version, canary)
  })
}

/**
 * @param wanted - A version whose material is missing; one that never had any, which is made where there is none, when absent.
 * @param refuse - Sees the key as it is when the version is claimed, and throws where others were first.
 */
async function claim(
  { deps, context }: Task,
  { keyId }: MasterKey,
  wanted: KeyVersion | undefined,
  refuse: (before: MasterKey) => void = () => {},
): Promise<{ readonly claimed: MasterKey; readonly version: KeyVersion }> {
  const versionId = wanted?.versionId ?? deps.newId()
  const importId = deps.newId()
  let at = versionId
  const claimed = await changeKey(deps, context, 'ImportKeyMaterial', keyId, (before) => {
    requireImportable(before)
    refuse(before)
    const now = deps.clock.now()
    const place = wanted ? requireVersion(before, versionId) : blankVersion(before)
    at = place?.versionId ?? versionId
    if (place && place.imported?.state !== 'PendingImport')
      throw new KmsError('CONFLICT', 'Other material is being imported or deleted.', {})
    const imported = { ...place?.imported, state: 'Importing', since: now, importId } as const
    if (place)
      return {
        ...before,
        versions: before.versions.map((one) => (one === place ? { ...one, imported } : one)),
      }
    const added = { versionId: at, number: before.versions.length + 1, createdAt: now, imported }
    return { ...before, versions: [...before.versions, added] }
  })
  return { claimed, version: requireVersion(claimed, at) }
}

async function guarded(
  { deps }: Task,
  key: MasterKey,
  version: KeyVersion,
  work: () => Promise<ChangedMaterial>,
): Promise<ChangedMaterial> {
  try {
    return await work()
  } catch (error) {
    await abandonImport(deps, key, version)
    throw error
  }
}

/** Has the token unwrap the material into the objects of a version. */
async function bring(
  { deps, context, input, pair, options }: Task,
  key: MasterKey,
  version: KeyVersion,
): Promise<TokenMaterial> {
  const { token, pairId, algorithm } = pair
  const from = { pair: { token, pairId }, algorithm, wrapped: input.wrapped }
  const ref = tokenRef(key, version)
  try {
    const { hostMemory, publicKey } = await deps.provider.importMasterKey(ref, from, options)
    if (hostMemory) context.trail.hostMemory = true
    return { ref, publicKey }
  } catch (error) {
    if (!isKmsError(error, 'CIPHERTEXT_INVALID')) throw error
    throw new KmsError('MATERIAL_UNREADABLE', 'The material cannot be unwrapped.', {}, { cause: error })
  }
}

/** The version whose material the objects of `version` hold as well. */
async function findMatch(
  { deps, options }: Task,
  key: MasterKey,
  version: KeyVersion,
  brought: TokenMaterial,
): Promise<KeyVersion | undefined> {
  for (const other of key.versions) {
    const canary = other.imported?.canary
    if (other === version || canary === undefined) continue
    if (await openCanary(deps.provider, brought, canary, options)) return other
  }
  return undefined
}

async function finish(
  task: Task,
  key: MasterKey,
  version: KeyVersion,
  canary: string,
  publicKey?: string,
): Promise<ChangedMaterial> {
  const acknowledge = (imported: ImportedMaterial) =>
    imported.state === 'Importing' && isSameImport(imported, version)
      ? importedBy(task, { ...imported, canary })
      : undefined
  const finished = await moveMaterial(task.deps, placeOf(key, version), acknowledge, publicKey)
  if (!finished) throw new KmsError('CONFLICT', 'The import took too long and was given up.', {})
  const known = requireVersion(finished, version.versionId)
  // The token has told it just now.
  if (publicKey !== undefined) task.deps.publicKeys.note(known)
  return { key: finished, version: known }
}

function importedBy({ deps, input }: Task, imported: ImportedMaterial): ImportedMaterial {
  const { expiresAt: _, ...kept } = imported
  const { expiresAt, description } = input
  return {
    ...kept,
    state: 'Imported',
    since: deps.clock.now(),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(description === undefined ? {} : { description }),
  }
}

function refuseSecondPending({ deps }: Task, key: MasterKey): void {
  const pending = pendingMaterial(key)
  if (!pending) return
  const versionId = blankVersion(key)?.versionId ?? deps.newId()
  const details = { keyId: key.keyId, versionId, pendingVersionId: pending.versionId }
  throw new KmsError('MATERIAL_PENDING', 'Other material is pending rotation.', details)
}

function incorrect(): KmsError<'MATERIAL_INCORRECT'> {
  return new KmsError(
    'MATERIAL_INCORRECT',
    'The key material is not the one that the request says it is.',
    {},
  )
}
