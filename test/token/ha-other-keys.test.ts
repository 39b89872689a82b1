import { constants, createECDH, createHmac, createPublicKey, hash, publicEncrypt } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ecdsaToDer } from '../../src/core/ecdsa-signature.ts'
import { HASH_BYTES, type KeySpec, type KeyUsage, MAC_ALGORITHMS } from '../../src/core/key-spec.ts'
import type { CryptoProvider, MasterKeyRef } from '../../src/core/ports/crypto-provider.ts'
import { verifyMessage } from '../../src/core/verify-signature.ts'
import {
  bringInPair,
  bringInSecret,
  keyInMain,
  newPair,
  newSecret,
  type Pair,
  pairInMain,
} from '../support/copied-keys.ts'
import { copiesOf, HaFixture, memberOf, proven } from '../support/ha-fixture.ts'
import { describeWith, eventually, SOFTHSM_MODULE, within } from '../support/softhsm.ts'

const GONE = { code: 'TOKEN_UNAVAILABLE' }
const MESSAGE = Buffer.from('message of nobody')
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
const spkiOf = ({ publicKey }: Pair) => publicKey.export({ type: 'spki', format: 'der' })

/** What a private key does, and whether it did it. */
type Use = (crypto: CryptoProvider, ref: MasterKeyRef, pair: Pair) => Promise<boolean>

const signs =
  (algorithm: 'RSASSA_PSS_SHA_256' | 'ECDSA_SHA_256' | 'ED25519_SHA_512'): Use =>
  async (crypto, ref, pair) => {
    const data = algorithm === 'ED25519_SHA_512' ? MESSAGE : hash('sha256', MESSAGE, 'buffer')
    const raw = await crypto.sign(ref, algorithm, data, within())
    const signature = algorithm === 'ECDSA_SHA_256' ? ecdsaToDer(raw) : raw
    const publicKey = spkiOf(pair).toString('base64')
    return verifyMessage(
      { versionId: ref.versionId, number: 1, createdAt: 0, publicKey },
      algorithm,
      MESSAGE,
      signature,
    )
  }

const decrypts: Use = async (crypto, ref, pair) => {
  const ciphertext = publicEncrypt(
    { key: createPublicKey(pair.publicKey.export({ type: 'spki', format: 'pem' })), ...OAEP },
    MESSAGE,
  )
  const plaintext = await crypto.decryptRsa(ref, 'RSAES_OAEP_SHA_256', ciphertext, spkiOf(pair), within())
  return plaintext.equals(MESSAGE)
}

const agrees: Use = async (crypto, ref, pair) => {
  const other = createECDH('secp384r1')
  const point = other.generateKeys()
  const secret = await crypto.deriveSecret(ref, point, within())
  return secret.equals(other.computeSecret(spkiOf(pair).subarray(-97)))
}

const KINDS: readonly (readonly [spec: KeySpec, usage: KeyUsage, use: Use])[] = [
  ['RSA_2048', 'SIGN_VERIFY', signs('RSASSA_PSS_SHA_256')],
  ['RSA_2048', 'ENCRYPT_DECRYPT', decrypts],
  ['ECC_NIST_P256', 'SIGN_VERIFY', signs('ECDSA_SHA_256')],
  ['ECC_NIST_P384', 'KEY_AGREEMENT', agrees],
  ['ECC_NIST_EDWARDS25519', 'SIGN_VERIFY', signs('ED25519_SHA_512')],
]

describeWith([SOFTHSM_MODULE], 'key pairs and MAC keys of a token and its replica', () => {
  let fixture: HaFixture

  beforeEach(() => {
    fixture = new HaFixture()
  })
  afterEach(() => fixture.remove())

  const lineOf = (text: string) => JSON.parse(fixture.log.lines.find((line) => line.includes(text)) ?? '{}')
  const refusalOf = ({ versionId }: MasterKeyRef) =>
    fixture.log.lines
      .map((line) => JSON.parse(line))
      .find((line) => line.message === 'replica holds other material' && line.versionId === versionId)
  /** Neither the reconnects that a fault causes, nor those that look for a key which is missing. */
  const replicaStayed = (token: Awaited<ReturnType<HaFixture['start']>>) =>
    expect(memberOf(token, 'replica')?.status).toMatchObject({ state: 'up', reconnects: {} })

  describe.each(KINDS)('%s for %s', (spec, usage, use) => {
    it('is used on the replica while the primary is away, at once and from the start of a process', async () => {
      const pair = newPair(spec)
      const { key, ref } = pairInMain(spec, usage, pair)
      await fixture.store.createKey(key)
      for (const label of ['first', 'second']) bringInPair(label, ref, pair)
      const token = await fixture.start()
      await proven(token)
      expect(await use(token.crypto, ref, pair)).toBe(true)
      expect(memberOf(token, 'replica')?.served).toBe(0)
      fixture.pull('first')
      expect(await use(token.crypto, ref, pair)).toBe(true)
      expect(memberOf(token, 'replica')?.served).toBe(1)
      expect(await token.crypto.readPublicKey(ref, within())).toEqual(spkiOf(pair))
      await fixture.stop(token)
      const later = await fixture.start()
      expect(memberOf(later, 'primary')?.status.state).toBe('connecting')
      expect(await later.crypto.readPublicKey(ref, within())).toEqual(spkiOf(pair))
      expect(await use(later.crypto, ref, pair)).toBe(true)
    })

    it('is never used on a replica that holds another pair, another private key or one that can be extracted', async () => {
      const other = newPair(spec)
      const wrongs: readonly ((pair: Pair, ref: MasterKeyRef) => void)[] = [
        (_, ref) => bringInPair('second', ref, other),
        ({ publicKey }, ref) => bringInPair('second', ref, { ...other, publicKey }),
        (pair, ref) => bringInPair('second', ref, pair, { EXTRACTABLE: true }),
      ]
      const made = []
      for (const bringWrong of wrongs) {
        const pair = newPair(spec)
        const { key, ref } = pairInMain(spec, usage, pair)
        await fixture.store.createKey(key)
        bringInPair('first', ref, pair)
        bringWrong(pair, ref)
        made.push({ pair, ref })
      }
      const token = await fixture.start()
      await eventually(() => copiesOf(token)?.refused === wrongs.length)
      for (const { pair, ref } of made) expect(await use(token.crypto, ref, pair)).toBe(true)
      replicaStayed(token)
      fixture.pull('first')
      for (const { pair, ref } of made) {
        await expect(use(token.crypto, ref, pair)).rejects.toMatchObject(GONE)
        expect(refusalOf(ref)).toMatchObject({
          level: 'error',
          reason: expect.stringContaining('The copy of the key in the replica is refused'),
          hint: expect.stringContaining('copy the key from the primary again'),
        })
      }
      expect(memberOf(token, 'replica')?.served).toBe(0)
    })
  })

  describe('HMAC_512', () => {
    const [spec, algorithm] = ['HMAC_512', 'HMAC_SHA_512'] as const
    const make = async () => {
      const { key, ref } = keyInMain({ spec, usage: 'GENERATE_VERIFY_MAC' })
      await fixture.store.createKey(key)
      const secret = newSecret(spec)
      bringInSecret('first', ref, secret)
      return { ref, secret, mac: createHmac(MAC_ALGORITHMS[algorithm].hash, secret).update(MESSAGE).digest() }
    }

    it('makes its MACs on the replica while the primary is away, at once and from the start of a process', async () => {
      const { ref, secret, mac } = await make()
      bringInSecret('second', ref, secret)
      const token = await fixture.start()
      await proven(token)
      fixture.pull('first')
      expect(await token.crypto.mac(ref, algorithm, MESSAGE, within())).toEqual(mac)
      expect(memberOf(token, 'replica')?.served).toBe(1)
      await fixture.stop(token)
      const later = await fixture.start()
      expect(await later.crypto.mac(ref, algorithm, MESSAGE, within())).toEqual(mac)
    })

    it('is proven by a canary that gives no MAC away, and is replaced when the primary does not know it', async () => {
      const { ref, secret } = await make()
      const canaryOf = async () => (await fixture.store.getCanary(ref.versionId)) ?? ''
      bringInSecret('second', ref, secret)
      const first = await fixture.start()
      await proven(first)
      const canary = await canaryOf()
      const { nonce } = JSON.parse(canary).mac
      const text = Buffer.from(`p11kms/replica-canary/v1\0${ref.versionId}\0mac\0${nonce}`)
      const made = createHmac(MAC_ALGORITHMS[algorithm].hash, secret).update(text).digest()
      expect(made).toHaveLength(HASH_BYTES[MAC_ALGORITHMS[algorithm].hash])
      expect(JSON.parse(canary)).toEqual({ mac: { nonce, digest: hash('sha256', made, 'hex') } })
      await fixture.stop(first)
      await fixture.store.putCanary(ref.versionId, JSON.stringify({ mac: { nonce, digest: '0'.repeat(64) } }))
      await proven(await fixture.start())
      expect(lineOf('does not make the MAC of the canary in the store')).toMatchObject({ level: 'error' })
      expect(JSON.parse(await canaryOf()).mac.digest).not.toBe('0'.repeat(64))
    })

    it('makes none on a replica that holds another secret, or one that can be extracted', async () => {
      const made = [await make(), await make()] as const
      bringInSecret('second', made[0].ref, newSecret(spec))
      bringInSecret('second', made[1].ref, made[1].secret, { EXTRACTABLE: true })
      const token = await fixture.start()
      await eventually(() => copiesOf(token)?.refused === 2)
      for (const { ref, mac } of made)
        expect(await token.crypto.mac(ref, algorithm, MESSAGE, within())).toEqual(mac)
      replicaStayed(token)
      fixture.pull('first')
      for (const { ref } of made) {
        await expect(token.crypto.mac(ref, algorithm, MESSAGE, within())).rejects.toMatchObject(GONE)
        expect(refusalOf(ref)).toMatchObject({ level: 'error' })
      }
      expect(memberOf(token, 'replica')?.served).toBe(0)
    })

    it('makes none on a replica that the primary never vouched for', async () => {
      const { ref, secret } = await make()
      bringInSecret('second', ref, secret)
      fixture.pull('first')
      const token = await fixture.start()
      await expect(token.crypto.mac(ref, algorithm, MESSAGE, within())).rejects.toMatchObject(GONE)
      expect(memberOf(token, 'replica')?.served).toBe(0)
    })
  })

  it('counts as unproven a pair of which a key is missing in the replica, and none whose material is to be imported', async () => {
    const pair = newPair('RSA_2048')
    const { key, ref } = pairInMain('RSA_2048', 'SIGN_VERIFY', pair)
    await fixture.store.createKey(key)
    bringInPair('first', ref, pair)
    const pending = keyInMain({ origin: 'EXTERNAL' }).key
    const versions = pending.versions.map((one) => ({
      ...one,
      imported: { state: 'PendingImport', since: 1 } as const,
    }))
    await fixture.store.createKey({ ...pending, versions, state: 'Enabled' })
    const token = await fixture.start()
    await eventually(() => copiesOf(token)?.unproven === 1)
    expect(copiesOf(token)).toEqual({ proven: 0, refused: 0, unproven: 1 })
    expect(fixture.log.lines.some((line) => line.includes(pending.keyId))).toBe(false)
    bringInPair('second', ref, pair)
    await proven(token)
  }, 30_000)
})
