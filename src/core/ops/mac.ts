import { timingSafeEqual } from 'node:crypto'
import { checksPassed } from '../dry-run.ts'
import { KmsError } from '../errors.ts'
import { requireKey, requirePrimaryVersion, tokenRef } from '../find-key.ts'
import type { KeyIdentifier, MasterKey } from '../key.ts'
import type { KmsDeps, UsingContext } from '../kms-context.ts'
import { requireAlgorithm, requireUsage } from '../usage.ts'
import { callOptions } from './seal-payload.ts'

export interface GenerateMacInput {
  readonly key: KeyIdentifier
  /** By its name in AWS KMS. */
  readonly algorithm: string
  /** 1 to 4096 bytes. */
  readonly message: Buffer
}

export interface VerifyMacInput extends GenerateMacInput {
  /** 1 to 6144 bytes. */
  readonly mac: Buffer
}

export interface Mac {
  readonly key: MasterKey
  readonly mac: Buffer
}

export function generateMac(deps: KmsDeps, context: UsingContext, input: GenerateMacInput): Promise<Mac> {
  return macOf(deps, context, 'GenerateMac', input)
}

/**
 * Makes the MAC again in the token and compares it in constant time.
 *
 * @throws {@link KmsError} `MAC_INVALID` when it is another one.
 */
export async function verifyMac(
  deps: KmsDeps,
  context: UsingContext,
  input: VerifyMacInput,
): Promise<MasterKey> {
  const { key, mac } = await macOf(deps, context, 'VerifyMac', input)
  try {
    if (mac.length === input.mac.length && timingSafeEqual(mac, input.mac)) return key
  } finally {
    // It is the answer to a message for which the caller may not have it.
    mac.fill(0)
  }
  throw new KmsError('MAC_INVALID', 'The MAC is not valid.', {})
}

async function macOf(
  deps: KmsDeps,
  context: UsingContext,
  operation: 'GenerateMac' | 'VerifyMac',
  input: GenerateMacInput,
): Promise<Mac> {
  const key = await requireKey(deps, context, operation, input.key)
  requireUsage(key, operation)
  const algorithm = requireAlgorithm(key, 'mac', input.algorithm)
  const ref = tokenRef(key, requirePrimaryVersion(key))
  checksPassed(context, operation, key)
  return { key, mac: await deps.provider.mac(ref, algorithm, input.message, callOptions(context)) }
}
