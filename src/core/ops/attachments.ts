import type { KeyAttachments } from '../ports/key-store.ts'
import type { Tag } from '../ports/tag-store.ts'
import type { KeyPolicyInput } from './key-policies.ts'

/** What a new key is given besides itself. */
export interface AttachmentsInput {
  readonly tags?: readonly Tag[] | undefined
  /** The default policy of each language when absent. */
  readonly policy?: KeyPolicyInput | undefined
}

/** What is stored with the key at once, so that a creation that is cut short and finished later has it. */
export function attachmentsOf({ tags, policy }: AttachmentsInput): KeyAttachments {
  return { ...(tags && { tags }), ...(policy && { policies: { [policy.language]: policy.policy } }) }
}
