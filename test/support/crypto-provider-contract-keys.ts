import {
  constants,
  createECDH,
  createHmac,
  createPublicKey,
  hash,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  randomUUID,
} from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ecdsaToDer } from '../../src/core/ecdsa-signature.ts'
import {
  algorithmsOf,
  HASH_BYTES,
  KEY_SPECS,
  type KeySpec,
  type KeyUsage,
  keySpecRow,
  MAC_ALGORITHMS,
  OAEP_ALGORITHMS,
  pairOfSpec,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../../src/core/key-spec.ts'
import type { CryptoProvider, MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { verifyMessage } from '../../src/core/verify-signature.ts'

const within = (ms = 10_000) => ({ deadlineAt: Date.now() + ms })
/** A key pair takes its own time. */
const PAIR_MS = 90_000
const flipped = (bytes: Buffer, at: number) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)
/** Specs of master keys that are not symmetric. */
export const OTHER_SPECS = (Object.keys(KEY_SPECS) as KeySpec[]).filter(
  (spec) => spec !== 'SYMMETRIC_DEFAULT',
)
/** One of each kind, the quickest to make: RSA of 3072 and 4096 bits takes the time of all others together, twice. */
export const ONE_SPEC_OF_EACH_KIND: readonly KeySpec[] = [
  'RSA_2048',
  'ECC_NIST_P256',
  'ECC_NIST_EDWARDS25519',
  'HMAC_256',
]

/** What callers verify by: the public key as a version of the store has it. */
const versionOf = (publicKey: Buffer) => ({
  versionId: 'v',
  number: 1,
  createdAt: 0,
  publicKey: publicKey.toString('base64'),
})

interface Made {
  readonly ref: MasterKeyRef
  readonly publicKey: Buffer
}

/**
 * What a CryptoProvider does with master keys that are not symmetric.
 *
 * @param unable - Specs that this token cannot make.
 * @param specs - Specs that are tried.
 */
export function otherKeysContract(
  opened: () => { readonly provider: CryptoProvider; readonly token: string },
  unable: readonly KeySpec[],
  specs: readonly KeySpec[] = OTHER_SPECS,
): void {
  const refOf = (spec: KeySpec, usage: KeyUsage): MasterKeyRef => {
    const [keyId, versionId] = [randomUUID(), randomUUID()]
    return { token: opened().token, keyId, versionId, versionNumber: 1, spec, usage }
  }
  async function make(spec: KeySpec, usage: KeyUsage): Promise<Made> {
    const ref = refOf(spec, usage)
    const { publicKey = Buffer.alloc(0) } = await opened().provider.createMasterKey(ref, within(PAIR_MS))
    return { ref, publicKey }
  }

  const kinds = specs.flatMap((spec) => keySpecRow(spec).usages.map((usage) => [spec, usage] as const))
  describe.each(kinds)('a master key %s for %s', (spec, usage) => {
    if (unable.includes(spec)) {
      it('is refused by name, and leaves nothing', async () => {
        const ref = refOf(spec, usage)
        const error = await opened()
          .provider.createMasterKey(ref, within(PAIR_MS))
          .catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'UNSUPPORTED' })
        expect(String(error)).toMatch(new RegExp(`token "main" .*${spec}.* \\(CKM_\\w+\\)`))
        expect(await opened().provider.findMasterKey(ref, within())).toBe('absent')
      })
      return
    }

    it('is made, found, refused a second time, used and destroyed', async () => {
      const { provider } = opened()
      const made = await make(spec, usage)
      expect(await provider.findMasterKey(made.ref, within())).toBe('present')
      await expect(provider.createMasterKey(made.ref, within(PAIR_MS))).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      })
      if (pairOfSpec(spec)) expect(await provider.readPublicKey(made.ref, within())).toEqual(made.publicKey)
      else expect(made.publicKey).toHaveLength(0)
      await USES[usage](provider, made)
      await provider.destroyMasterKey(made.ref, within())
      expect(await provider.findMasterKey(made.ref, within())).toBe('absent')
      await expect(useOnce(provider, made)).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
    }, 120_000)
  })

  describe('versions of one key pair', () => {
    const fast = ['RSA_2048', 'ECC_NIST_P256', 'ML_DSA_44']
    it.each(kinds.filter(([spec]) => fast.includes(spec) && !unable.includes(spec)))(
      'of %s for %s stand beside each other, and each goes alone',
      async (spec, usage) => {
        const { provider } = opened()
        const first = await make(spec, usage)
        const ref = { ...first.ref, versionId: randomUUID(), versionNumber: 2 }
        const { publicKey = Buffer.alloc(0) } = await provider.createMasterKey(ref, within(PAIR_MS))
        const second = { ref, publicKey }
        expect(publicKey).not.toEqual(first.publicKey)
        for (const made of [first, second, first]) {
          expect(await provider.readPublicKey(made.ref, within())).toEqual(made.publicKey)
          await USES[usage](provider, made)
        }
        await provider.destroyMasterKey(first.ref, within())
        expect(await provider.findMasterKey(first.ref, within())).toBe('absent')
        await expect(useOnce(provider, first)).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' })
        expect(await provider.findMasterKey(second.ref, within())).toBe('present')
        await USES[usage](provider, second)
        await provider.destroyMasterKey(second.ref, within())
        expect(await provider.findMasterKey(second.ref, within())).toBe('absent')
      },
      180_000,
    )
  })
}

async function useOnce(provider: CryptoProvider, { ref, publicKey }: Made): Promise<unknown> {
  const { spec = 'RSA_2048', usage } = ref
  const algorithms = algorithmsOf({ spec, usage: usage ?? 'SIGN_VERIFY' })
  const [signing] = algorithms.signing
  const [mac] = algorithms.mac
  if (signing) return provider.sign(ref, signing, Buffer.alloc(digestBytes(signing)), within())
  if (mac) return provider.mac(ref, mac, Buffer.of(1), within())
  if (usage === 'KEY_AGREEMENT') return provider.deriveSecret(ref, pointOf(publicKey, spec), within())
  return provider.decryptRsa(ref, 'RSAES_OAEP_SHA_256', Buffer.alloc(256, 1), publicKey, within())
}

const digestBytes = (algorithm: SigningAlgorithm) =>
  HASH_BYTES[SIGNING_ALGORITHMS[algorithm].hash ?? 'sha512']

function pointOf(spki: Buffer, spec: KeySpec): Buffer {
  const pair = pairOfSpec(spec)
  return spki.subarray(spki.length - 1 - 2 * (pair?.kind === 'ec' ? pair.curve.scalarBytes : 0))
}

const USES: Readonly<Record<KeyUsage, (provider: CryptoProvider, made: Made) => Promise<void>>> = {
  SIGN_VERIFY: async (provider, { ref, publicKey }) => {
    const message = randomBytes(300)
    for (const algorithm of algorithmsOf({ spec: ref.spec ?? 'RSA_2048', usage: 'SIGN_VERIFY' }).signing) {
      const { scheme, hash: hashName } = SIGNING_ALGORITHMS[algorithm]
      // Whether it is one is the caller's to see.
      if (scheme === 'eddsa-ph') {
        const digest = hash('sha512', message, 'buffer')
        expect(await provider.sign(ref, algorithm, digest, within())).toHaveLength(64)
        continue
      }
      const data = scheme === 'eddsa' || scheme === 'ml-dsa' ? message : hash(hashName, message, 'buffer')
      const raw = await provider.sign(ref, algorithm, data, within())
      const signature = scheme === 'ecdsa' ? ecdsaToDer(raw) : raw
      expect(verifyMessage(versionOf(publicKey), algorithm, message, signature)).toBe(true)
    }
  },

  ENCRYPT_DECRYPT: async (provider, { ref, publicKey }) => {
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    for (const algorithm of ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const) {
      const options = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: OAEP_ALGORITHMS[algorithm].hash }
      const decrypt = (ciphertext: Buffer) =>
        provider.decryptRsa(ref, algorithm, ciphertext, publicKey, within())
      for (const length of [1, 32, 190]) {
        const plaintext = randomBytes(length)
        expect(await decrypt(publicEncrypt({ key, ...options }, plaintext))).toEqual(plaintext)
      }
      const messages = new Set<string>()
      for (const forged of forgeries(key, options)) {
        const error = await decrypt(forged).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'CIPHERTEXT_INVALID' })
        messages.add((error as Error).message)
      }
      expect(messages.size).toBe(1)
      // Refusals leave the session as it was.
      expect(await decrypt(publicEncrypt({ key, ...options }, Buffer.of(7)))).toEqual(Buffer.of(7))
    }
  },

  GENERATE_VERIFY_MAC: async (provider, { ref }) => {
    for (const algorithm of algorithmsOf({ spec: ref.spec ?? 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' })
      .mac) {
      const messages = [Buffer.of(1), randomBytes(4096)]
      const macs = await Promise.all(
        messages.map((message) => provider.mac(ref, algorithm, message, within())),
      )
      expect(macs.map(({ length }) => length)).toEqual(
        messages.map(() => HASH_BYTES[MAC_ALGORITHMS[algorithm].hash]),
      )
      expect(await provider.mac(ref, algorithm, messages[1] ?? Buffer.of(1), within())).toEqual(macs[1])
      expect(macs[0]).not.toEqual(macs[1])
      // Its secret is nobody's: a MAC under a key of zeros is another one.
      const known = createHmac(MAC_ALGORITHMS[algorithm].hash, Buffer.alloc(64)).update(Buffer.of(1))
      expect(macs[0]).not.toEqual(known.digest())
    }
  },

  KEY_AGREEMENT: async (provider, { ref, publicKey }) => {
    const { spec = 'ECC_NIST_P256' } = ref
    const pair = pairOfSpec(spec)
    if (pair?.kind !== 'ec') throw new TypeError('not of a curve')
    // Some secrets begin with zeros.
    for (let round = 0; round < 40; round++) {
      const other = createECDH(pair.curve.opensslName)
      const point = other.generateKeys()
      const secret = await provider.deriveSecret(ref, point, within())
      expect(secret).toEqual(other.computeSecret(pointOf(publicKey, spec)))
    }
  },
}

/** Ciphertexts below the modulus that nobody encrypted, or that somebody encrypted otherwise. */
function forgeries(
  key: KeyObject,
  options: { readonly padding: number; readonly oaepHash: string },
): Buffer[] {
  const good = publicEncrypt({ key, ...options }, randomBytes(16))
  const other = { ...options, oaepHash: options.oaepHash === 'sha1' ? 'sha256' : 'sha1' }
  return [
    flipped(good, good.length - 1),
    flipped(good, 100),
    publicEncrypt({ key, ...other }, randomBytes(16)),
    publicEncrypt({ key, ...options, oaepLabel: Buffer.of(1) }, randomBytes(16)),
    publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, randomBytes(16)),
    publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, Buffer.alloc(good.length, 1)),
    Buffer.concat([Buffer.alloc(good.length - 1), Buffer.of(1)]),
    Buffer.alloc(good.length),
  ]
}
