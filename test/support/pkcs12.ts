import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import forge from 'node-forge'

/** What a client finds in the file that it was given. */
export function openPkcs12(
  file: Buffer,
  password: string,
): { readonly privateKey: KeyObject; readonly certificate: X509Certificate } {
  const asn1 = forge.asn1.fromDer(file.toString('latin1'))
  const opened = forge.pkcs12.pkcs12FromAsn1(asn1, password)
  const { certBag = '', pkcs8ShroudedKeyBag = '' } = forge.pki.oids
  const [certificate] = opened.getBags({ bagType: certBag })[certBag] ?? []
  const [key] = opened.getBags({ bagType: pkcs8ShroudedKeyBag })[pkcs8ShroudedKeyBag] ?? []
  if (!certificate?.cert || !key?.key) throw new Error('the file lacks a key or a certificate')
  return {
    privateKey: createPrivateKey(forge.pki.privateKeyToPem(key.key)),
    certificate: new X509Certificate(forge.pki.certificateToPem(certificate.cert)),
  }
}
