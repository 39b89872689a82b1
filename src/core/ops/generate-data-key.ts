import { invariant } from '../../lib/invariant.ts'
import { authorize } from '../authorize/authorize.ts'
import { type AadInput, callerAadOf } from '../caller-aad.ts'
import { requireKey } from '../find-key.ts'
import type { KeyIdentifier } from '../key.ts'
import type { CallContext, KmsDeps, UsingContext } from '../kms-context.ts'
import { requireUsage } from '../usage.ts'
import {
  callOptions,
  type SealedPayload,
  type SealStyle,
  sealRandomBytes,
  sealRandomInside,
} from './seal-payload.ts'

const DATA_KEY_BYTES_MAX = 1024

export interface GenerateDataKeyInput extends AadInput {
  readonly key: KeyIdentifier
  /** 1 to {@link DATA_KEY_BYTES_MAX}. */
  readonly lengthBytes: number
  /** In the native envelope, and bytes, when absent. */
  readonly style?: SealStyle | undefined
}

/** A data key sealed under a master key, with its plaintext as Decrypt will give it, which the receiver zeroes. */
export interface DataKey extends SealedPayload {
  readonly plaintext: Buffer
}

export async function generateDataKey(
  deps: KmsDeps,
  context: UsingContext,
  input: GenerateDataKeyInput,
): Promise<DataKey> {
  requireLength(input.lengthBytes)
  const key = await requireKey(deps, context, 'GenerateDataKey', input.key)
  requireUsage(key, 'GenerateDataKey')
  return sealRandomBytes(deps, context, key, input.lengthBytes, callerAadOf(input), input.style)
}

export async function generateDataKeyWithoutPlaintext(
  deps: KmsDeps,
  context: UsingContext,
  input: GenerateDataKeyInput,
): Promise<SealedPayload> {
  requireLength(input.lengthBytes)
  const key = await requireKey(deps, context, 'GenerateDataKeyWithoutPlaintext', input.key)
  requireUsage(key, 'GenerateDataKeyWithoutPlaintext')
  return sealRandomInside(deps, context, key, input.lengthBytes, callerAadOf(input), input.style)
}

export async function generateRandom(
  deps: KmsDeps,
  context: CallContext,
  lengthBytes: number,
): Promise<Buffer> {
  requireLength(lengthBytes)
  authorize(context.principal, 'GenerateRandom')
  context.trail.token = deps.tokenForNewKeys
  return deps.provider.generateRandom(deps.tokenForNewKeys, lengthBytes, callOptions(context))
}

/** The façades have refused other lengths in their protocol's words. */
function requireLength(lengthBytes: number): void {
  invariant(
    Number.isInteger(lengthBytes) && lengthBytes >= 1 && lengthBytes <= DATA_KEY_BYTES_MAX,
    'data key length out of range',
  )
}
