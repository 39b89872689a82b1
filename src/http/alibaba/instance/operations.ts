import { InstanceFault, unsupported } from './fault.ts'
import type { InstanceOperation } from './operation.ts'
import { ASYMMETRIC_OPERATIONS } from './operations/asymmetric.ts'
import { DATA_OPERATIONS } from './operations/data.ts'
import { DATA_KEY_OPERATIONS } from './operations/data-keys.ts'
import { KEY_PAIR_OPERATIONS } from './operations/key-pairs.ts'

/** For operations of the API that are not carried out: never a silent no-op. */
const UNSUPPORTED: InstanceOperation = { run: () => Promise.reject(unsupported()) }

/** Every operation of the API: one row per value of `x-kms-apiname`. */
export const INSTANCE_OPERATIONS: ReadonlyMap<string, InstanceOperation> = new Map(
  Object.entries({
    ...DATA_OPERATIONS,
    ...DATA_KEY_OPERATIONS,
    ...KEY_PAIR_OPERATIONS,
    ...ASYMMETRIC_OPERATIONS,
    GetSecretValue: UNSUPPORTED,
  }),
)

/** Longest name that an answer repeats. Characters. */
const SHOWN_NAME_MAX = 128

/** @throws {@link InstanceFault} `InvalidApiName` */
export function requireOperation(name: string): InstanceOperation {
  const operation = INSTANCE_OPERATIONS.get(name)
  if (operation) return operation
  const shown = name.slice(0, SHOWN_NAME_MAX)
  throw new InstanceFault('InvalidApiName', 400, `The ApiName "${shown}" is invalid.`)
}
