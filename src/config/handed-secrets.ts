import type { SecretSource } from './common-schema.ts'
import type { Config } from './schema.ts'
import { readSource } from './secrets.ts'

/** A configuration for other processes, and what the descriptors in it are to give them. */
export interface HandedConfig {
  readonly config: Config
  /** In the order of the descriptors; the caller zeroes them when the last process was started. */
  readonly secrets: readonly Buffer[]
}

/**
 * A descriptor can be read once and is not inherited. What those of `config` give is read here, and the result names the
 * descriptors from `firstFd` on, through which each process is to get it; what a seed holds itself goes the same way.
 *
 * @throws {@link SecretError}
 */
export function handSecrets(config: Config, firstFd: number): HandedConfig {
  const secrets: Buffer[] = []
  const handed = <S extends SecretSource | undefined>(source: S): S => {
    if (source?.fd === undefined && source?.literal === undefined) return source
    secrets.push(readSource(source))
    return { fd: firstFd + secrets.length - 1 } as S
  }
  const accounts = config.accounts.map((account) => ({
    ...account,
    credentials: account.credentials.map((credential) => ({
      ...credential,
      secretAccessKey: handed(credential.secretAccessKey),
      ...(credential.sessionToken && { sessionToken: handed(credential.sessionToken) }),
    })),
    ...(account.alibabaCredentials && {
      alibabaCredentials: account.alibabaCredentials.map((credential) => ({
        ...credential,
        accessKeySecret: handed(credential.accessKeySecret),
        ...(credential.securityToken && { securityToken: handed(credential.securityToken) }),
      })),
    }),
  }))
  const tokens = config.tokens.map((token) => ({
    ...token,
    pin: handed(token.pin),
    ...(token.replica && { replica: { ...token.replica, pin: handed(token.replica.pin) } }),
  }))
  return { config: { ...config, accounts, tokens }, secrets }
}
