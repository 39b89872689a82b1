import type { FacadeRequest } from '../../facade.ts'
import type { AlibabaCredential } from './credentials.ts'
import type { Parameters } from './parameters.ts'

/** A request whose parameters have been decoded and nothing else. */
export interface SignedRequest extends Pick<FacadeRequest, 'method' | 'headers' | 'rawHeaders' | 'body'> {
  readonly query: Parameters
  /** Query and body, merged. */
  readonly parameters: Parameters
}

/** What a signature says, whichever version it is of. Nothing of it is believed yet. */
export interface RequestSignature {
  readonly accessKeyId: string
  readonly securityToken: string | undefined
  readonly timestamp: string | undefined
  readonly nonce: string | undefined
  readonly action: string
  readonly version: string
  readonly stringToSign: string
  /** As many bytes as the version's HMAC has. */
  readonly signature: Buffer
  /** What the signature of this request is by our calculation. */
  expected(credential: AlibabaCredential): Buffer
}
