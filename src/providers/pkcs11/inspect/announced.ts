/** How often a call that is made again and again says so. Milliseconds. */
const REPEAT_MS = 250

/**
 * `library` with each `C_…` function telling its name before it is called: whoever listens knows where a call that
 * never returns hangs. A function that is called many times in a row tells it a few times a second.
 */
export function announced<Library extends object>(
  library: Library,
  announce: (call: string) => void,
): Library {
  let last = ''
  let saidAt = Number.NEGATIVE_INFINITY
  const say = (call: string) => {
    const now = performance.now()
    if (call === last && now - saidAt < REPEAT_MS) return
    last = call
    saidAt = now
    announce(call)
  }
  return new Proxy(library, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (typeof name !== 'string' || !name.startsWith('C_')) return value.bind(target)
      return (...args: unknown[]): unknown => {
        say(name)
        return Reflect.apply(value, target, args)
      }
    },
  })
}
