import { createHmac } from 'node:crypto'
import { missing, OpenApiFault } from './fault.ts'
import { canonicalQuery, type Parameters, percentEncode } from './parameters.ts'
import type { RequestSignature, SignedRequest } from './signed-request.ts'

/** HMAC-SHA1, base64. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/

/** What is signed: the method, the path, and all parameters but the signature itself. */
function v1StringToSign(method: string, parameters: Parameters): string {
  const signed = [...parameters].filter(([name]) => name !== 'Signature')
  return `${method}&%2F&${percentEncode(canonicalQuery(signed))}`
}

/**
 * Reads a signature of version 1.0 from the parameters.
 *
 * @throws {@link OpenApiFault} `MissingParameter`, `IncompleteSignature`
 * @see Alibaba Cloud, "Key Management Service", "Request signatures" (SignatureVersion 1.0)
 */
export function readV1Signature({ method, parameters }: SignedRequest): RequestSignature {
  const given = (name: string): string | undefined => parameters.get(name) || undefined
  const required = (name: string): string => {
    const value = given(name)
    if (value === undefined) throw missing(name)
    return value
  }
  const accessKeyId = required('AccessKeyId')
  const action = required('Action')
  const version = required('Version')
  // An empty SignatureType is what one SDK sends; any other asks for another kind of credential.
  if (given('SignatureType') !== undefined) throw incomplete('SignatureType')
  if (required('SignatureMethod') !== 'HMAC-SHA1') throw incomplete('SignatureMethod')
  if (required('SignatureVersion') !== '1.0') throw incomplete('SignatureVersion')
  const signature = required('Signature')
  if (!SIGNATURE.test(signature)) throw incomplete('Signature')
  const stringToSign = v1StringToSign(method, parameters)
  return {
    accessKeyId,
    action,
    version,
    securityToken: given('SecurityToken'),
    timestamp: given('Timestamp'),
    nonce: given('SignatureNonce'),
    stringToSign,
    signature: Buffer.from(signature, 'base64'),
    expected: ({ v1Key }) => createHmac('sha1', v1Key).update(stringToSign, 'utf8').digest(),
  }
}

function incomplete(parameter: string): OpenApiFault {
  return new OpenApiFault(
    'IncompleteSignature',
    `The request signature does not conform to Alibaba Cloud standards. Check the parameter "${parameter}".`,
  )
}
