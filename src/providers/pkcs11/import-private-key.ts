import { generateKeyPairSync, hash } from 'node:crypto'
import { ecdsaToDer } from '../../core/ecdsa-signature.ts'
import type { PairAlgorithm } from '../../core/key-pair-spec.ts'
import { type KeySpec, keySpecRow, pairOfSpec, SIGNING_ALGORITHMS } from '../../core/key-spec.ts'
import { ecSpki } from '../../core/spki.ts'
import { verifyMessage } from '../../core/verify-signature.ts'
import { invariant } from '../../lib/invariant.ts'
import { useSecret } from './data-key.ts'
import { publicPointsOf } from './ec-public-point.ts'
import { TokenRefusal } from './errors.ts'
import { signWith } from './key-operations.ts'
import {
  examinedPrivateTemplate,
  examinedReadBack,
  importedPrivateTemplates,
  importedPublicTemplate,
  type OtherName,
  otherName,
} from './key-templates.ts'
import type { LaneToken } from './lane-token.ts'
import { makeImported, readBackImported, undoing } from './make-imported.ts'
import type { MaterialKind } from './material-kind.ts'
import type { Handle } from './module.ts'
import { readEcParams, readPublicKey } from './pair-attributes.ts'
import { privateKeyValues, publicKeyValues } from './private-key-values.ts'
import { provePair } from './prove-pair.ts'
import { mismatchIn } from './read-back.ts'
import { unreadable } from './unwrap-material.ts'

const PROOF_TEXT = Buffer.from('p11kms/import/v1', 'utf8')

/** Private keys of nobody's that were made, by spec: an RSA key takes seconds, and none of them is a secret. */
const nobodys = new Map<KeySpec, Buffer>()

/** A private key as PKCS#8, of which a version has the private and the public object. */
export const PRIVATE_KEY_MATERIAL: MaterialKind = {
  nobody: (name) => {
    const { spec } = otherName(name)
    const known = nobodys.get(spec) ?? makeNobodys(algorithmOf(spec))
    nobodys.set(spec, known)
    return known
  },
  read: (name, material) => privateKeyValues(algorithmOf(otherName(name).spec), material),
  examine: (token, source) => {
    const { spec } = otherName(source.name)
    const algorithm = algorithmOf(spec)
    const spki = useSecret(token, source.make(examinedPrivateTemplate(algorithm.kind)), (key) => {
      requireTemplateKept(token, key, algorithm)
      const candidates = source.spki ? [source.spki] : publicKeysOf(token, key, algorithm)
      return candidates.find((candidate) => signsFor(token, key, spec, candidate))
    })
    if (!spki) throw unreadable('The private key signs for no public key of its own.')
    return { spki }
  },
  isSame: (_, { name, spki }, material) => {
    const { spki: expected } = privateKeyValues(algorithmOf(otherName(name).spec), material)
    return spki !== undefined && expected !== undefined && spki.equals(expected)
  },
  create: (token, source) =>
    undoing(token, (keep) => {
      const { spki } = source
      invariant(spki, 'the public key was told when the material was examined')
      const name = otherName(source.name)
      const templates = importedPrivateTemplates(name, token.capabilities.allowedMechanisms)
      const priv = keep(makeImported(token, source, 'priv', templates))
      readBackImported(token, name, priv, 'priv')
      const pub = keep(createPublicKey(token, name, spki))
      readBackImported(token, name, pub, 'pub')
      provePair(token, name, priv, readPublicKey(token, pub, algorithmOf(name.spec)))
      return [['priv', priv] as const, ['pub', pub] as const]
    }),
}

function requireTemplateKept(token: LaneToken, key: Handle, { kind }: PairAlgorithm): void {
  const wrong = mismatchIn(token, key, examinedReadBack(kind))
  if (!wrong) return
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: `The token makes a private key of imported material whose CKA_${wrong.name} is not ${String(wrong.expected)}.`,
  })
}

function createPublicKey(token: LaneToken, name: OtherName, spki: Buffer): Handle {
  const template = importedPublicTemplate(name, publicKeyValues(algorithmOf(name.spec), spki))
  return token.p11.C_CreateObject(token.session, template)
}

function algorithmOf(spec: KeySpec): PairAlgorithm {
  const algorithm = pairOfSpec(spec)
  invariant(algorithm, 'the spec is one of key pairs')
  return algorithm
}

function makeNobodys(algorithm: PairAlgorithm): Buffer {
  const encoding = { type: 'pkcs8', format: 'der' } as const
  if (algorithm.kind === 'rsa')
    return generateKeyPairSync('rsa', { modulusLength: algorithm.modulusBits }).privateKey.export(encoding)
  if (algorithm.kind === 'ec')
    return generateKeyPairSync('ec', { namedCurve: algorithm.curve.opensslName }).privateKey.export(encoding)
  invariant(algorithm.kind === 'ed25519', 'such keys are imported')
  return generateKeyPairSync('ed25519').privateKey.export(encoding)
}

/** What may be the public key of a private key in the token. */
function publicKeysOf(token: LaneToken, key: Handle, algorithm: PairAlgorithm): readonly Buffer[] {
  if (algorithm.kind === 'rsa') return [readPublicKey(token, key, algorithm)]
  if (algorithm.kind === 'ec') {
    const { curve } = algorithm
    if (!readEcParams(token, key).equals(curve.oid)) throw unreadable('The private key is of another curve.')
    return publicPointsOf(token, key, curve).map((point) => ecSpki(curve, point))
  }
  throw new TokenRefusal({
    code: 'UNSUPPORTED',
    reason: 'No token is asked for the public key of an Ed25519 private key that it unwrapped.',
  })
}

/** Whether a signature of the private key verifies with a public one. */
function signsFor(token: LaneToken, key: Handle, spec: KeySpec, spki: Buffer): boolean {
  const [algorithm] = keySpecRow(spec).signing ?? []
  invariant(algorithm, 'every key pair that is imported may sign')
  const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
  const data = scheme === 'eddsa' || scheme === 'ml-dsa' ? PROOF_TEXT : hash(hashName, PROOF_TEXT, 'buffer')
  const signature = signWith(token, key, algorithm, data)
  const version = { versionId: 'examined', number: 1, createdAt: 0, publicKey: spki.toString('base64') }
  return verifyMessage(version, algorithm, PROOF_TEXT, scheme === 'ecdsa' ? ecdsaToDer(signature) : signature)
}
