import { createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { algorithmsOf, MAC_ALGORITHMS, type MacAlgorithm } from '../../core/key-spec.ts'
import { invariant } from '../../lib/invariant.ts'
import { useSecret } from './data-key.ts'
import { toFault } from './errors.ts'
import { freshIv, gcmSeal } from './gcm.ts'
import { macWith } from './key-operations.ts'
import { importedMacTemplates, macBytes, type OtherName, otherName } from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import { makeImported, readBackImported, undoing } from './make-imported.ts'
import type { HostMaterial, MaterialKind, MaterialSource } from './material-kind.ts'
import { requireSecretLength } from './measure-secret.ts'
import { CKM_GENERIC_SECRET_KEY_GEN, GCM_TAG_BYTES, type Sealed } from './mechanisms.ts'
import { MASTER_KEY_ROLES, type MaterialName } from './object-names.ts'
import { isUnsupported } from './private-key-wrap.ts'
import { proveMac } from './procedures/create-mac-key.ts'
import { proveWorking } from './procedures/create-master-key.ts'
import { CKA, importedKeyTemplates, measuredKeyTemplate, unwrappedKeyTemplate } from './templates.ts'
import { unreadable } from './unwrap-material.ts'

const AES_BYTES = 32
const PROOF = Buffer.from('p11kms/import/v1', 'utf8')

/** AES-256: a version has two objects of one value. */
export const AES_MATERIAL: MaterialKind = {
  nobody: () => randomBytes(AES_BYTES),
  read: (_, material) => readSecret(material, AES_BYTES),
  examine: (token, source) => {
    // Shorter ones are no AES keys, which the seal tells.
    if (source.way === 'inside')
      useSecret(token, source.make(measuredTemplate(token)), (secret) =>
        requireSecretLength(token, secret, AES_BYTES, true),
      )
    sealOnce(token, source)
    return {}
  },
  isSame: (token, source, material) => isSealedBy(material, sealOnce(token, source)),
  create: (token, source) =>
    undoing(token, (keep) =>
      MASTER_KEY_ROLES.map((role) => {
        const templates = importedKeyTemplates(source.name, role, token.capabilities.allowedMechanisms)
        const handle = keep(makeImported(token, source, role, templates))
        readBackImported(token, source.name, handle, role)
        proveWorking(token, handle, role)
        return [role, handle] as const
      }),
    ),
}

/** The secret of a MAC key, as long as the hash gives. */
export const MAC_MATERIAL: MaterialKind = {
  nobody: (name) => randomBytes(macBytes(otherName(name))),
  read: (name, material) => readSecret(material, macBytes(otherName(name))),
  examine: (token, source) => {
    const name = otherName(source.name)
    const isInside = source.way === 'inside'
    const bounded = isInside && refusesShorter(token, name)
    useSecret(token, source.make(measuredTemplate(token)), (secret) => {
      if (isInside) requireSecretLength(token, secret, macBytes(name), bounded)
      macWith(token, secret, macOf(name), PROOF)
    })
    return {}
  },
  isSame: (token, { name, make }, material) => {
    const algorithm = macOf(name)
    const mac = useSecret(token, make(measuredTemplate(token)), (secret) =>
      macWith(token, secret, algorithm, PROOF),
    )
    return mac.equals(createHmac(MAC_ALGORITHMS[algorithm].hash, material).update(PROOF).digest())
  },
  create: (token, source) =>
    undoing(token, (keep) => {
      const name = otherName(source.name)
      const templates = importedMacTemplates(name, token.capabilities.allowedMechanisms)
      const handle = keep(makeImported(token, source, 'mac', templates))
      readBackImported(token, name, handle, 'mac')
      proveMac(token, handle, name)
      return [['mac', handle] as const]
    }),
}

function readSecret(material: Buffer, lengthBytes: number): HostMaterial {
  if (material.length !== lengthBytes) throw unreadable(`The material does not have ${lengthBytes} bytes.`)
  return { values: [{ type: CKA.VALUE, value: material }] }
}

function measuredTemplate({ capabilities }: LaneToken) {
  return measuredKeyTemplate(capabilities.dataKeysSensitive)
}

function sealOnce(token: LaneToken, { make }: MaterialSource): Sealed {
  return useSecret(token, make(unwrappedKeyTemplate('enc')), (key) =>
    gcmSeal(token, key, freshIv(token), PROOF, PROOF),
  )
}

function isSealedBy(material: Buffer, { iv, bytes }: Sealed): boolean {
  const decipher = createDecipheriv('aes-256-gcm', material, iv)
  decipher.setAAD(PROOF)
  decipher.setAuthTag(bytes.subarray(-GCM_TAG_BYTES))
  const opened = decipher.update(bytes.subarray(0, -GCM_TAG_BYTES))
  try {
    decipher.final()
  } catch {
    // The tag is that of another key.
    return false
  }
  return opened.equals(PROOF)
}

function macOf(name: MaterialName): MacAlgorithm {
  const [algorithm] = algorithmsOf(otherName(name)).mac
  invariant(algorithm, 'the spec is one of MAC keys')
  return algorithm
}

/**
 * Whether the token makes no MAC with a secret that is a byte shorter than the hash, as SoftHSM, which tells no lengths. Found with one
 * that it makes, once per connection.
 */
function refusesShorter(token: LaneToken, name: OtherName): boolean {
  const { spec } = name
  const what = `makes MACs with less than ${spec}`
  if (token.pairFacts.has(what)) return token.pairFacts.get(what) !== undefined
  const template = [...measuredTemplate(token), { type: CKA.VALUE_LEN, value: macBytes(name) - 1 }]
  const shorter = token.p11.C_GenerateKey(token.session, { mechanism: CKM_GENERIC_SECRET_KEY_GEN }, template)
  try {
    useSecret(token, shorter, (secret) => macWith(token, secret, macOf(name), PROOF))
    token.pairFacts.set(what, undefined)
    return false
  } catch (error) {
    token.discardSession()
    if (!isUnsupported(error)) throw error
    token.pairFacts.set(what, toFault(error))
    return true
  }
}
