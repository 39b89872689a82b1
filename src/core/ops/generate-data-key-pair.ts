import { invariant } from '../../lib/invariant.ts'
import { type AadInput, callerAadOf, encodeCallerAad } from '../caller-aad.ts'
import { checksPassed } from '../dry-run.ts'
import { ENVELOPE_LAYOUTS } from '../envelope/envelope.ts'
import type { PrivateKeyPresentation } from '../envelope/payload-form.ts'
import { present, presentPublicKey } from '../envelope/present.ts'
import { requireKey, tokenRef } from '../find-key.ts'
import type { KeyIdentifier } from '../key.ts'
import type { KeyPairSpec } from '../key-pair-spec.ts'
import type { KmsDeps, UsingContext } from '../kms-context.ts'
import type { SealedKeyPair } from '../ports/crypto-provider.ts'
import { isUndriven, type UndrivenKeySpec, undrivenSpec } from '../undriven-specs.ts'
import { requireUsage } from '../usage.ts'
import { inTime } from './in-time.ts'
import { NATIVE_STYLE, requireSealVersion, type SealedPayload, type SealStyle } from './seal-payload.ts'

export interface GenerateDataKeyPairInput extends AadInput {
  readonly key: KeyIdentifier
  /** One that no token is asked for is refused by the name of the key's token. */
  readonly spec: KeyPairSpec | UndrivenKeySpec
  /** How both keys are written, here and by a later Decrypt. */
  readonly presentation: PrivateKeyPresentation
  /** In the native envelope, under the primary version, when absent. */
  readonly style?: Pick<SealStyle, 'layout' | 'version'> | undefined
  /** How long to wait while the token makes other pairs; 0 to be refused at once. Milliseconds. */
  readonly waitMs: number
}

/** A key pair whose private key is sealed under a master key. */
export interface SealedDataKeyPair extends SealedPayload {
  /** SubjectPublicKeyInfo, written as was asked. */
  readonly publicKey: Buffer
}

/** A key pair with its private key, which the receiver zeroes. */
export interface DataKeyPair extends SealedDataKeyPair {
  readonly plaintext: Buffer
}

export async function generateDataKeyPair(
  deps: KmsDeps,
  context: UsingContext,
  input: GenerateDataKeyPairInput,
): Promise<DataKeyPair> {
  const { sealed, ...made } = await makePair(deps, context, input, 'GenerateDataKeyPair', true)
  invariant(sealed.privateKey, 'a readable key pair comes with its private key')
  return { ...made, plaintext: present(input.presentation, sealed.privateKey) }
}

export async function generateDataKeyPairWithoutPlaintext(
  deps: KmsDeps,
  context: UsingContext,
  input: GenerateDataKeyPairInput,
): Promise<SealedDataKeyPair> {
  const operation = 'GenerateDataKeyPairWithoutPlaintext'
  const { sealed, ...made } = await makePair(deps, context, input, operation, false)
  if (sealed.hostMemory) context.trail.hostMemory = true
  return made
}

async function makePair(
  deps: KmsDeps,
  context: UsingContext,
  input: GenerateDataKeyPairInput,
  operation: 'GenerateDataKeyPair' | 'GenerateDataKeyPairWithoutPlaintext',
  readable: boolean,
): Promise<SealedDataKeyPair & { readonly sealed: SealedKeyPair }> {
  const key = await requireKey(deps, context, operation, input.key)
  requireUsage(key, operation)
  const { spec } = input
  if (isUndriven(spec)) throw undrivenSpec(key.token, spec)
  const { layout: name, version: role } = input.style ?? NATIVE_STYLE
  const version = requireSealVersion(key, role)
  const layout = ENVELOPE_LAYOUTS[name]
  const callerAad = callerAadOf(input)
  const { presentation } = input
  if (context.dryRun) encodeCallerAad(callerAad)
  checksPassed(context, operation, key)
  const leftMs = context.deadlineAt - Date.now()
  const work = deps.pairs.use(key, Math.min(input.waitMs, leftMs), (deadlineAt) =>
    deps.provider.sealKeyPair(
      tokenRef(key, version),
      { spec, readable },
      (mode) => layout.aad({ mode, presentation }, version.versionId, callerAad),
      { deadlineAt, timings: context.trail.timings },
    ),
  )
  const sealed = await inTime(work, context.deadlineAt, key.token, ({ privateKey }) => privateKey?.fill(0))
  const form = { mode: sealed.mode, presentation }
  const blob = layout.encode({ form, keyVersionId: version.versionId, sealed })
  return { blob, key, version, publicKey: presentPublicKey(presentation, sealed.publicKey), sealed }
}
