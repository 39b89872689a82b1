import { isKmsError, KmsError } from '../errors.ts'
import { isVisible, tokenRef } from '../find-key.ts'
import type { KeyVersion, MasterKey } from '../key.ts'
import { pairOfSpec } from '../key-spec.ts'
import type { CallContext, KmsDeps } from '../kms-context.ts'
import type { CallOptions } from '../ports/crypto-provider.ts'
import { type CreateKeyInput, createKey, enable } from './create-key.ts'
import { callOptions } from './seal-payload.ts'

export interface EnsureKeyInput extends CreateKeyInput {
  readonly keyId: string
}

export interface EnsuredKey {
  readonly key: MasterKey
  /** Whether it was made, or its creation finished, just now. */
  readonly made: boolean
}

/**
 * The key of that id, made where there is none. One that is there stays as it is, in whatever state it is. A creation that
 * was cut short is finished here rather than rolled back by maintenance, since a rolled back id can never be made again: so
 * call this before maintenance runs, in one process at a time.
 */
export async function ensureKey(
  deps: KmsDeps,
  context: CallContext,
  input: EnsureKeyInput,
): Promise<EnsuredKey> {
  const { accountId, region } = context.principal
  const { keyId } = input
  const there = await deps.store.getKey(region, keyId)
  if (!there) return { key: await createKey(deps, context, input), made: true }
  if (there.accountId !== accountId) throw taken(keyId, 'The key belongs to another account.')
  if (isVisible(there.state)) return { key: there, made: false }
  if (there.state !== 'Creating') throw taken(keyId, 'A key of that id was destroyed.')
  return { key: await finishCreation(deps, context, there, input.waitMs), made: true }
}

async function finishCreation(
  deps: KmsDeps,
  context: CallContext,
  key: MasterKey,
  waitMs = 0,
): Promise<MasterKey> {
  const finish = async (options: CallOptions) => {
    const versions: KeyVersion[] = []
    for (const version of key.versions) versions.push(await finishVersion(deps, key, version, options))
    return await enable(deps, { ...key, versions })
  }
  if (!pairOfSpec(key.spec)) return await finish(callOptions(context))
  return await deps.pairs.use(key, waitMs, (deadlineAt) => finish({ deadlineAt }))
}

/** The version, with its public key where it is a key pair, once its objects are in the token. */
async function finishVersion(
  { provider }: KmsDeps,
  key: MasterKey,
  version: KeyVersion,
  options: CallOptions,
): Promise<KeyVersion> {
  const ref = tokenRef(key, version)
  const presence = await provider.findMasterKey(ref, options)
  if (presence === 'altered') {
    const message = `The creation of key '${key.keyId}' was cut short and its objects are altered.`
    const { keyId, region, state } = key
    throw new KmsError('KEY_STATE_INVALID', message, { keyId, region, state, allowed: [] })
  }
  if (presence === 'present') {
    if (!pairOfSpec(key.spec)) return version
    return { ...version, publicKey: (await provider.readPublicKey(ref, options)).toString('base64') }
  }
  // Of half a version nothing was ever acknowledged.
  if (presence === 'partial') await provider.destroyMasterKey(ref, options)
  try {
    const { publicKey } = await provider.createMasterKey(ref, options)
    return publicKey ? { ...version, publicKey: publicKey.toString('base64') } : version
  } catch (error) {
    // An earlier attempt that this one did not wait for got to it first.
    if (!isKmsError(error, 'ALREADY_EXISTS')) throw error
    throw new KmsError('CONFLICT', `Key '${key.keyId}' is being made.`, {}, { cause: error })
  }
}

/**
 * The alias of that name, made where there is none; the owner of the store asks, so no policy is. One that is there stays.
 *
 * @returns The key that has it, `undefined` where it cannot be made because the key waits for its destruction.
 */
export async function ensureAlias(
  deps: KmsDeps,
  context: CallContext,
  name: string,
  keyId: string,
): Promise<string | undefined> {
  const { accountId, region } = context.principal
  const there = await deps.store.getAlias(accountId, region, name)
  if (there) return there.keyId
  const key = await deps.store.getKey(region, keyId)
  if (key?.state !== 'Enabled' && key?.state !== 'Disabled') return undefined
  const now = deps.clock.now()
  await deps.store.createAlias({ accountId, region, name, keyId, createdAt: now, updatedAt: now })
  await deps.directory.aliasChanged(accountId, region, name)
  return keyId
}

function taken(keyId: string, message: string): KmsError<'ALREADY_EXISTS'> {
  return new KmsError('ALREADY_EXISTS', message, { keyId })
}
