import type { Principal } from '../key.ts'

/** The resource part of a principal's ARN: credentials are told apart as users of IAM are. */
export function principalResource({ accessKeyId }: Pick<Principal, 'accessKeyId'>): string {
  return `user/${accessKeyId}`
}

/** An ARN in parts. */
export interface ArnParts {
  readonly partition: string
  readonly service: string
  readonly region: string
  readonly accountId: string
  readonly resource: string
}

/** The parts of `arn:partition:service:region:account:resource`, or `undefined` for any other text. */
export function splitArn(text: string): ArnParts | undefined {
  const [arn, partition = '', service = '', region = '', accountId = '', ...rest] = text.split(':')
  const resource = rest.join(':')
  if (arn !== 'arn' || partition === '' || service === '' || resource === '') return undefined
  return { partition, service, region, accountId, resource }
}

const ACCOUNT_ID = /^\d{12}$/
const PARTITION = /^aws[a-z-]*$/
/** Resources of principals by service (AWS IAM User Guide, "IAM ARNs"; names of at most 64 characters, paths of 512). */
const PRINCIPAL_RESOURCES: ReadonlyMap<string, RegExp> = new Map([
  ['iam', /^(?:root|(?:user|role)\/(?:[!-~]{1,510}\/)?[\w+=,.@-]{1,64})$/],
  ['sts', /^(?:assumed-role\/[\w+=,.@-]{1,64}\/[\w+=,.@-]{1,64}|federated-user\/[\w+=,.@-]{1,64})$/],
])

/** Whether `text` has the form of an account's, a user's, a role's or a session's ARN. Whether there is one is not asked. */
export function isPrincipalArn(text: string): boolean {
  const arn = splitArn(text)
  if (!arn || !PARTITION.test(arn.partition) || arn.region !== '' || !ACCOUNT_ID.test(arn.accountId))
    return false
  return PRINCIPAL_RESOURCES.get(arn.service)?.test(arn.resource) ?? false
}

/** Whether `text` has the form of a service's host name: `ec2.amazonaws.com`. */
export function isServicePrincipal(text: string): boolean {
  return /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,4}\.amazonaws\.com(?:\.cn)?$/.test(text)
}
