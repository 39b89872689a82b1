import { KmsError } from '../errors.ts'

/**
 * What `work` gives, unless the caller's deadline passes first. A token cannot be stopped: the work goes on then, with the
 * gate of key pairs closed behind it.
 *
 * @param dispose - Told what came too late, so that it is zeroed.
 * @throws {@link KmsError} `TOKEN_TIMEOUT`
 */
export async function inTime<T>(
  work: Promise<T>,
  deadlineAt: number,
  token: string,
  dispose: (late: T) => void = () => undefined,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const giveUp = () => {
    work.then(dispose, () => undefined)
    reject(new KmsError('TOKEN_TIMEOUT', 'The token did not make the key pair in time.', { token }))
  }
  const timer = setTimeout(giveUp, Math.max(0, deadlineAt - Date.now()))
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
