import { unsupported } from '../fault.ts'
import type { InstanceOperation } from '../operation.ts'

const later: InstanceOperation = { run: () => Promise.reject(unsupported()) }

/** Operations with asymmetric keys: KMS Instance API, one section per name. */
export const ASYMMETRIC_OPERATIONS = {
  Sign: later,
  Verify: later,
  GetPublicKey: later,
} as const satisfies Readonly<Record<string, InstanceOperation>>
