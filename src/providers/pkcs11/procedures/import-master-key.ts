import type { WrappingAlgorithm } from '../../../core/ports/import-store.ts'
import { invariant } from '../../../lib/invariant.ts'
import { useSecret } from '../data-key.ts'
import { describeFault, TokenRefusal, toFault } from '../errors.ts'
import { findImportPair, type ImportWay, specOf, wayOf } from '../import-pair-objects.ts'
import { KEY_WRAP_FORMATS, wrapKey } from '../key-wrap.ts'
import type { LaneToken } from '../lane-token.ts'
import { jsonPart, parseJsonPart } from '../lanes/messages.ts'
import { destroyAll, makeFrom, refuseExisting } from '../make-object.ts'
import type { Handle } from '../module.ts'
import { isUnsupported } from '../private-key-wrap.ts'
import { makeSessionKey } from '../probe.ts'
import { openProven } from '../prove-open.ts'
import { firstBroughtMismatch, valueLengthOf } from '../read-back.ts'
import {
  type Attribute,
  CKA,
  importedKeyTemplates,
  MASTER_KEY_ROLES,
  type MasterKeyRole,
  type MaterialName,
  measuredKeyTemplate,
} from '../templates.ts'
import { MATERIAL_BYTES, unreadable, unwrapInside, unwrapOnHost } from '../unwrap-material.ts'
import { needsHostMemory, provePair } from './create-import-pair.ts'
import { proveWorking } from './create-master-key.ts'
import { madeMaterial } from './find-master-key.ts'
import { type Procedure, part } from './procedure.ts'

/** Longest material that is looked at: what RSA_4096 can hold. */
const MEASURED_BYTES_MAX = 512

/** What to import; part 0 as JSON. */
export interface ImportJob {
  readonly name: MaterialName
  readonly pairId: string
  readonly algorithm: WrappingAlgorithm
  /** Name of the token, for operators and callers. */
  readonly token: string
  /** As it is now: the pair may be of a time when it was set. */
  readonly allowHostMemory: boolean
}

interface Task extends ImportJob {
  readonly privateKey: Handle
  readonly modulusBytes: number
  readonly wrapped: Buffer
}

/**
 * Makes both objects of a version from material that was wrapped for a pair, reads them back and uses each once; destroys what it
 * made when anything is wrong.
 *
 * Parts: {@link ImportJob} as JSON, the wrapped material. Results: `FoundMaterial` as JSON, whether host memory was used as JSON.
 */
export const importMasterKey: Procedure = (token, _, parts) => {
  const job = parseJsonPart(part(parts, 0)) as ImportJob
  const { name } = job
  for (const role of MASTER_KEY_ROLES) refuseExisting(token, name, role)
  const [privateKey] = findImportPair(token, job.pairId)
  if (!privateKey)
    throw new TokenRefusal({ code: 'TOKEN_UNAVAILABLE', reason: 'The token does not hold the import pair.' })
  const task = {
    ...job,
    privateKey,
    modulusBytes: modulusBytesOf(token, privateKey),
    wrapped: part(parts, 1),
  }
  const host = wayOf(token, privateKey) === 'host'
  if (host && !job.allowHostMemory) throw needsHostMemory(job, 'the pair was made while that was set')
  if (!host) checkMaterial(token, task)
  const made = host
    ? createFromHost(token, task)
    : makeBoth(token, task, (role, template) => unwrap(token, task, role, template))
  const objects = MASTER_KEY_ROLES.map((role, index) => [role, made[index] ?? Buffer.alloc(0)] as const)
  return [madeMaterial(objects), jsonPart(host)]
}

function modulusBytesOf(token: LaneToken, privateKey: Handle): number {
  const [modulus] = token.p11.C_GetAttributeValue(token.session, privateKey, [{ type: CKA.MODULUS }])
  const value = modulus?.value
  return Buffer.isBuffer(value) ? value.length : 0
}

function unwrap(token: LaneToken, task: Task, _role: MasterKeyRole, template: Attribute[]): Handle {
  return unwrapInside(token, task.privateKey, task.algorithm, task.modulusBytes, task.wrapped, template)
}

/**
 * Unwraps the material once to see that it is some, and how long it is: tokens answer to a bad one as they do when they are broken or
 * unable, and SoftHSM tells no length of what it unwrapped. It is wrapped again for that under a key of nobody's, so that this process
 * sees no byte of it.
 */
function checkMaterial(token: LaneToken, task: Task): void {
  const prove = () => provePairOf(token, task, 'inside')
  const template = measuredKeyTemplate(token.capabilities.dataKeysSensitive)
  const work = () =>
    unwrapInside(token, task.privateKey, task.algorithm, task.modulusBytes, task.wrapped, template)
  useSecret(token, openOrBlame(token, work, prove), (key) => {
    const lengthBytes = valueLengthOf(token, key)
    if (lengthBytes === 0 ? !wrapsAsLong(token, key) : lengthBytes !== MATERIAL_BYTES) throw wrongLength()
  })
}

function provePairOf(token: LaneToken, task: Task, way: ImportWay): void {
  const spec = specOf(task.modulusBytes)
  invariant(spec, 'a pair has one of the specs')
  provePair(token, task.privateKey, { ...task, spec }, way)
}

/** Whatever the token answers to material while it unwraps other material, it is the material. */
function openOrBlame(token: LaneToken, work: () => Handle, prove: () => void): Handle {
  try {
    return openProven(token, work, prove)
  } catch (error) {
    if (!isUnsupported(error)) throw error
    prove()
    throw unreadable(`${describeFault(toFault(error))}, and other material unwraps.`)
  }
}

/** Whether the wrap of a key is as long as that of material. Shorter AES keys than that are refused when they are used. */
function wrapsAsLong(token: LaneToken, key: Handle): boolean {
  const [wrap] = token.capabilities.keyWraps
  if (!wrap)
    throw new TokenRefusal({
      code: 'UNSUPPORTED',
      reason:
        'The token tells neither the length of what it unwraps nor wraps it again: the material could be a shorter key.',
    })
  const wrapped = useSecret(token, makeSessionKey(token, token.session, 'wrap'), (wrapping) =>
    wrapKey(token, wrap.mechanism, wrapping, key, MEASURED_BYTES_MAX),
  )
  return wrapped.length === KEY_WRAP_FORMATS[wrap.format].wrappedBytes(MATERIAL_BYTES)
}

function createFromHost(token: LaneToken, task: Task): Handle[] {
  const { privateKey, algorithm, modulusBytes, wrapped } = task
  // A number that is not below the modulus is refused by the token, each in its own words.
  const material = openProven(
    token,
    () => unwrapOnHost(token, privateKey, algorithm, modulusBytes, wrapped),
    () => provePairOf(token, task, 'host'),
  )
  try {
    if (material.length !== MATERIAL_BYTES) throw wrongLength()
    return makeBoth(token, task, (_, template) =>
      token.p11.C_CreateObject(token.session, [...template, { type: CKA.VALUE, value: material }]),
    )
  } finally {
    material.fill(0)
  }
}

function makeBoth(
  token: LaneToken,
  { name }: Task,
  makeOne: (role: MasterKeyRole, template: Attribute[]) => Handle,
): Handle[] {
  const made: Handle[] = []
  try {
    for (const role of MASTER_KEY_ROLES) {
      const handle = fromTemplates(token, name, role, makeOne)
      made.push(handle)
      readBack(token, name, handle, role)
      proveWorking(token, handle, role)
    }
    return made
  } catch (error) {
    destroyAll(token, made)
    throw error
  }
}

function fromTemplates(
  token: LaneToken,
  name: MaterialName,
  role: MasterKeyRole,
  makeOne: (role: MasterKeyRole, template: Attribute[]) => Handle,
): Handle {
  const templates = importedKeyTemplates(name, role, token.capabilities.allowedMechanisms)
  return makeFrom(token, name, [role], templates, (template) => makeOne(role, template))
}

/** As a key that was made in the token, but for where it came from. Its length was measured. */
function readBack(token: LaneToken, name: MaterialName, handle: Handle, role: MasterKeyRole): void {
  const wrong = firstBroughtMismatch(token, handle, name, role)
  if (!wrong) return
  if (wrong.name === 'VALUE_LEN') throw wrongLength()
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token made a master key of imported material whose CKA_${wrong.name} is not ${String(wrong.expected)}; it was destroyed.`,
    hint: 'Check the policy of the token or the partition.',
  })
}

function wrongLength(): TokenRefusal {
  return unreadable(`The material does not have ${MATERIAL_BYTES} bytes.`)
}
