import {
  constants,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  hash,
  type KeyObject,
  publicEncrypt,
  randomUUID,
} from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ecdsaToDer } from '../../src/core/ecdsa-signature.ts'
import {
  algorithmsOf,
  type KeySpec,
  keySpecRow,
  MAC_ALGORITHMS,
  SIGNING_ALGORITHMS,
} from '../../src/core/key-spec.ts'
import type { CryptoProvider, MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { verifyMessage } from '../../src/core/verify-signature.ts'
import type { OpenProvider } from './crypto-provider-contract.ts'
import {
  IMPORTED_SPECS,
  type ImportedSpec,
  makeMaterial,
  type OwnedMaterial,
  withAnotherPublicKey,
  wrappingFor,
  wrongMaterials,
} from './imported-keys.ts'
import { wrapMaterial } from './wrap-material.ts'

/** Where a token takes material of a spec: inside itself, in host memory where that is allowed, or not at all. Inside when absent. */
export type ImportKindTraits = Readonly<Partial<Record<KeySpec, 'host' | 'none'>>>

const TEXT = Buffer.from('by the token')
const within = (ms = 70_000) => ({ deadlineAt: Date.now() + ms })

/** What every CryptoProvider owes to who brings MAC keys and key pairs. */
export function importKindsContract(open: () => Promise<OpenProvider>, traits: ImportKindTraits): void {
  let opened: OpenProvider
  let provider: CryptoProvider
  beforeAll(async () => {
    opened = await open()
    provider = opened.provider
  })
  afterAll(() => opened?.close())

  const freshRef = (material: ImportedSpec): MasterKeyRef => ({
    token: opened.token,
    keyId: randomUUID(),
    versionId: randomUUID(),
    versionNumber: 1,
    importId: randomUUID(),
    ...material,
  })
  async function newPair(material: ImportedSpec) {
    const pair = { token: opened.token, pairId: randomUUID() }
    const algorithm = wrappingFor(material.spec)
    const wrapping = { algorithm, spec: 'RSA_2048', material } as const
    const { publicKey } = await provider.createImportPair(pair, wrapping, within())
    return { pair, algorithm, publicKey }
  }
  async function bring(ref: MasterKeyRef, to: Awaited<ReturnType<typeof newPair>>, bytes: Buffer) {
    const { pair, algorithm, publicKey } = to
    const wrapped = wrapMaterial(algorithm, publicKey, bytes)
    return provider.importMasterKey(ref, { pair, algorithm, wrapped }, within())
  }

  async function expectWorking(ref: MasterKeyRef, material: ImportedSpec, owner: OwnedMaterial) {
    const algorithms = algorithmsOf(material)
    for (const algorithm of algorithms.mac) {
      const expected = createHmac(MAC_ALGORITHMS[algorithm].hash, owner.bytes).update(TEXT).digest()
      expect(await provider.mac(ref, algorithm, TEXT, within())).toEqual(expected)
    }
    for (const algorithm of algorithms.signing) {
      const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
      if (scheme === 'eddsa-ph' || scheme === 'ml-dsa') continue
      const data = scheme === 'eddsa' ? TEXT : hash(hashName, TEXT, 'buffer')
      const signature = await provider.sign(ref, algorithm, data, within())
      const publicKey = spki(owner).toString('base64')
      const version = { versionId: 'v', number: 1, createdAt: 0, publicKey }
      const given = scheme === 'ecdsa' ? ecdsaToDer(signature) : signature
      expect(verifyMessage(version, algorithm, TEXT, given)).toBe(true)
    }
    if (material.usage === 'ENCRYPT_DECRYPT') await expectDecrypting(ref, owner)
    if (material.usage === 'KEY_AGREEMENT') await expectAgreeing(ref, material.spec, owner)
  }

  async function expectDecrypting(ref: MasterKeyRef, owner: OwnedMaterial) {
    const { publicKey } = owner
    const key = { key: publicKey as KeyObject, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const sealed = publicEncrypt(key, TEXT)
    const plain = provider.decryptRsa(ref, 'RSAES_OAEP_SHA_256', sealed, spki(owner), within())
    expect(await plain).toEqual(TEXT)
  }

  async function expectAgreeing(ref: MasterKeyRef, spec: KeySpec, { publicKey }: OwnedMaterial) {
    const { kind } = keySpecRow(spec)
    if (kind.kind !== 'ec') throw new TypeError('no curve')
    const other = generateKeyPairSync('ec', { namedCurve: kind.curve.opensslName })
    const point = other.publicKey
      .export({ type: 'spki', format: 'der' })
      .subarray(-1 - 2 * kind.curve.scalarBytes)
    const secret = await provider.deriveSecret(ref, point, within())
    expect(secret).toEqual(diffieHellman({ privateKey: other.privateKey, publicKey: publicKey as KeyObject }))
  }

  const named = IMPORTED_SPECS.map((material) => [`${material.spec}, ${material.usage}`, material] as const)
  const taken = named.filter(([, { spec }]) => traits[spec] !== 'none')
  const firstOfSpec = taken.filter(
    ([, { spec }], index) => taken.findIndex(([, one]) => one.spec === spec) === index,
  )

  describe('imported keys of other kinds', () => {
    it.each(taken)('%s: comes in, and works as the very key', async (_, material) => {
      const [ref, to, owner] = [freshRef(material), await newPair(material), makeMaterial(material.spec)]
      const { hostMemory = false, publicKey } = await bring(ref, to, owner.bytes)
      expect(hostMemory).toBe(traits[material.spec] === 'host')
      expect(publicKey).toEqual(owner.publicKey && spki(owner))
      await expectWorking(ref, material, owner)
      await provider.destroyImportPair(to.pair, within())
      if (publicKey) expect(await provider.readPublicKey(ref, within())).toEqual(publicKey)
      await provider.destroyMasterKey(ref, within())
      expect(await provider.findMasterKey(ref, within())).toBe('absent')
    })

    it.each(firstOfSpec)('%s: is nothing else, and nothing stays of what it is not', async (_, material) => {
      const to = await newPair(material)
      const owner = makeMaterial(material.spec)
      for (const [what, bytes] of wrongMaterials(material.spec)) {
        const ref = freshRef(material)
        await expect(bring(ref, to, bytes), what).rejects.toMatchObject({ code: 'CIPHERTEXT_INVALID' })
        expect(await provider.findMasterKey(ref, within()), what).toBe('absent')
      }
      const ref = freshRef(material)
      await bring(ref, to, owner.bytes)
      await expectWorking(ref, material, owner)
    })

    it.each(taken.filter(([, { spec, usage }]) => spec === 'ECC_NIST_P256' && usage === 'SIGN_VERIFY'))(
      '%s: has the public key that its private key has, whatever is written beside it',
      async (_, material) => {
        const [ref, to, owner] = [freshRef(material), await newPair(material), makeMaterial(material.spec)]
        const { publicKey } = await bring(ref, to, withAnotherPublicKey(owner.bytes))
        expect(publicKey).toEqual(spki(owner))
        await expectWorking(ref, material, owner)
      },
    )

    it.each(named.filter(([, { spec }]) => traits[spec] === 'none'))(
      '%s: is not taken where the token cannot, and the answer names the token and what it cannot',
      async (_, material) => {
        await expect(newPair(material)).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          message: expect.stringMatching(
            new RegExp(
              `^The token "main" (cannot unwrap key material of spec ${material.spec} with CKM_RSA_PKCS_OAEP.*allowHostMemory|takes no key material of spec ${material.spec} \\(C_CreateObject\\))`,
            ),
          ),
        })
      },
    )
  })
}

function spki({ publicKey }: Pick<OwnedMaterial, 'publicKey'>): Buffer {
  return publicKey?.export({ type: 'spki', format: 'der' }) ?? Buffer.alloc(0)
}
