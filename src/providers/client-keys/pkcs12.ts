import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import forge from 'node-forge'
import type { IssuedClientKey, IssueRequest } from '../../core/ports/client-key-issuer.ts'

const MODULUS_BITS = 2048
const SERIAL_BYTES = 16

/**
 * Makes an RSA key of 2048 bits and its PKCS#12 with the passwords' encryption of RFC 7292, "Key Bag" (SHA-1 and triple DES): the
 * client libraries of Go read no other. What protects the key is therefore the password's strength and that nobody but its
 * owner gets the file. The certificate is signed by the key itself; nothing but its public key is ever looked at.
 *
 * Takes a tenth of a second or more, in which nothing else runs on the thread.
 */
export function makeClientKey(request: IssueRequest): IssuedClientKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: MODULUS_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const key = forge.pki.privateKeyFromPem(privateKey)
  const certificate = certify(request, key, publicKey)
  const pkcs12 = forge.pkcs12.toPkcs12Asn1(key, certificate, request.password, { algorithm: '3des' })
  return {
    publicKey: createPublicKey(publicKey).export({ type: 'spki', format: 'der' }),
    pkcs12: Buffer.from(forge.asn1.toDer(pkcs12).getBytes(), 'latin1'),
  }
}

function certify(
  { name, notBefore, notAfter }: IssueRequest,
  key: forge.pki.rsa.PrivateKey,
  publicKey: string,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  certificate.serialNumber = positive(randomBytes(SERIAL_BYTES)).toString('hex')
  certificate.validity.notBefore = new Date(notBefore)
  certificate.validity.notAfter = new Date(notAfter)
  const subject = [{ name: 'commonName', value: name }]
  certificate.setSubject(subject)
  certificate.setIssuer(subject)
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
  ])
  certificate.sign(key, forge.md.sha256.create())
  return certificate
}

/** The bytes as a positive integer without a leading zero. */
function positive(bytes: Buffer): Buffer {
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}
