import { EXIT_CODES } from './cli/exit-codes.ts'
import { printError } from './cli/output.ts'
import { ConfigError } from './config/config-error.ts'
import { SecretError } from './config/secrets.ts'
import { errnoOf } from './lib/errno.ts'
import { InspectionError } from './providers/pkcs11/inspect/inspection-error.ts'
import { StoreOpenError } from './store/store-open-error.ts'

/** What listening fails with for a reason that the operator can mend. */
const ADDRESS_FAULTS = ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN']

/** Says what went wrong to the operator; the result is the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof ConfigError || error instanceof SecretError) {
    printError(error.message)
    return EXIT_CODES.config
  }
  if (error instanceof StoreOpenError) {
    const inUse = error.problems.some(({ code }) => code === 'STORE_IN_USE')
    printError(error.message)
    return inUse ? EXIT_CODES.unavailable : EXIT_CODES.config
  }
  if (error instanceof InspectionError) {
    printError([error.problem.reason, error.problem.next].filter(Boolean).join(' '))
    return EXIT_CODES.unavailable
  }
  if (ADDRESS_FAULTS.includes(errnoOf(error)) && error instanceof Error) {
    printError(`${error.message}; choose another address with --host and --port, or stop what uses it.`)
    return EXIT_CODES.unavailable
  }
  printError(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return EXIT_CODES.software
}
