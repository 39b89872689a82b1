import { createRequire } from 'node:module'
import type * as kmsModule from '@alicloud/kms20160120'
import type * as openApiModule from '@alicloud/openapi-client'
import type * as openApiCoreModule from '@alicloud/openapi-core'
import * as popCore from '@alicloud/pop-core'

/** CommonJS packages whose types speak of default exports that Node's loader does not give. */
const load = createRequire(import.meta.url)
const openApi = load('@alicloud/openapi-client') as typeof openApiModule.default
const openApiCore = load('@alicloud/openapi-core') as typeof openApiCoreModule.default
const kms = load('@alicloud/kms20160120') as typeof kmsModule.default
const { RPCClient } = popCore as unknown as { RPCClient: new (config: object) => PopClient }

interface PopClient {
  request(action: string, parameters: object, options: object): Promise<Members>
}

export type Members = Readonly<Record<string, unknown>>

/** One way in which an SDK sends a request: gives the members of the answer, or throws what the SDK makes of an error. */
export type SdkCall = (action: string, parameters: Readonly<Record<string, string>>) => Promise<Members>

export interface SdkCredential {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken?: string
}

const VERSION = '2016-01-20'
const RUNTIME = { autoretry: false, maxAttempts: 1 }

/** What every API of the RPC style has in common. */
const PARAMS = {
  version: VERSION,
  protocol: 'HTTP',
  pathname: '/',
  method: 'POST',
  authType: 'AK',
  style: 'RPC',
  bodyType: 'json',
}

/** Every unmodified npm client in each of its ways to sign and to send, by name. */
export function sdkCalls(endpoint: string, credential: SdkCredential): Readonly<Record<string, SdkCall>> {
  const host = endpoint.replace('http://', '')
  const config = { ...credential, endpoint: host, protocol: 'HTTP', regionId: 'us-east-1' }
  const old = new openApi.default(new openApi.Config({ ...config, signatureAlgorithm: 'v2' }))
  const client = new openApi.default(new openApi.Config(config))
  const oldCore = new openApiCore.default(
    new openApiCore.$OpenApiUtil.Config({ ...config, signatureAlgorithm: 'v2' }),
  )
  const core = new openApiCore.default(new openApiCore.$OpenApiUtil.Config(config))
  return {
    'pop-core GET': popCall(endpoint, credential, 'GET'),
    'pop-core POST': popCall(endpoint, credential, 'POST'),
    'openapi-client V1 query': viaClient(old, 'query'),
    'openapi-client V1 body': viaClient(old, 'body'),
    'openapi-client V3 query': viaClient(client, 'query'),
    'openapi-client V3 body': viaClient(client, 'body'),
    'openapi-core V1 query': viaCore(oldCore, 'query'),
    'openapi-core V1 body': viaCore(oldCore, 'body'),
    'openapi-core V3 query': viaCore(core, 'query'),
    'openapi-core V3 body': viaCore(core, 'body'),
  }
}

function popCall(endpoint: string, credential: SdkCredential, method: 'GET' | 'POST'): SdkCall {
  const pop = new RPCClient({ endpoint, apiVersion: VERSION, ...credential })
  return (action, parameters) => pop.request(action, parameters, { method, formatParams: false })
}

function viaClient(client: InstanceType<typeof openApi.default>, place: 'query' | 'body'): SdkCall {
  return async (action, parameters) => {
    const params = new openApi.Params({ ...PARAMS, action, reqBodyType: 'formData' })
    const request = new openApi.OpenApiRequest({ [place]: parameters })
    const { body } = await client.callApi(params, request, RUNTIME as never)
    return body as Members
  }
}

function viaCore(client: InstanceType<typeof openApiCore.default>, place: 'query' | 'body'): SdkCall {
  return async (action, parameters) => {
    const params = new openApiCore.$OpenApiUtil.Params({ ...PARAMS, action, reqBodyType: 'formData' })
    const request = new openApiCore.$OpenApiUtil.OpenApiRequest({ [place]: parameters })
    const { body } = await client.callApi(params, request, RUNTIME as never)
    return body as Members
  }
}

/** The typed client of KMS itself, which signs by V1. */
export function kmsSdk(endpoint: string, credential: SdkCredential) {
  const host = endpoint.replace('http://', '')
  const config = { ...credential, endpoint: host, protocol: 'http', regionId: 'us-east-1' }
  const client = new kms.default(config as never)
  return { client, requests: kms }
}
