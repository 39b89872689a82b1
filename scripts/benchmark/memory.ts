import { type Mixed, mixedLoad } from './children.ts'
import { rssMib, startGateway } from './gateway.ts'
import { type Findings, lineThrough } from './numbers.ts'

const CONNECTIONS = 16
const STEPS = 20
/** Operations before the first look, beside those that count: V8 and the allocator find their size. */
const WARM_UP = 0.4
const GROWTH_MAX = 0.05

/** Resident memory over many mixed operations, wraps, unwraps and the making of keys among them. */
export async function memory(operations: number): Promise<Findings> {
  const gateway = await startGateway()
  try {
    const results: Mixed[] = [await mixedLoad(gateway, Math.round(operations * WARM_UP), CONNECTIONS)]
    const seen: number[] = []
    for (let step = 0; step < STEPS; step += 1) {
      results.push(await mixedLoad(gateway, Math.round(operations / STEPS), CONNECTIONS))
      seen.push(rssMib(gateway.pid))
    }
    return findings(results, seen)
  } finally {
    await gateway.stop()
  }
}

function findings(results: readonly Mixed[], seen: readonly number[]): Findings {
  const sum = (pick: (one: Mixed) => number) => results.reduce((total, one) => total + pick(one), 0)
  const [ok, failed, wrong] = [sum((one) => one.ok), sum((one) => one.failed), sum((one) => one.wrong)]
  // The collector's moment decides single looks, so growth is that of the line through all of them.
  const [first, last] = lineThrough(seen)
  const growth = last / first - 1
  return {
    title: `Resident memory over ${ok + failed} mixed operations`,
    figures: { ok, failed, wrong, rssFirstMib: first, rssLastMib: last, growth },
    lines: [
      ['first to last, by the line through all', `${first.toFixed(0)} to ${last.toFixed(0)} MiB`],
      ['on the way', seen.map((one) => one.toFixed(0)).join(' ')],
      ['growth', `${(growth * 100).toFixed(1)} %   (under ${GROWTH_MAX * 100} %)`],
      ['answers', `${ok} ok, ${failed} failed, ${wrong} wrong`],
    ],
    failures: [
      ...(growth >= GROWTH_MAX ? [`memory grew by ${(growth * 100).toFixed(1)} %`] : []),
      ...(failed > 0 ? [`${failed} operations failed`] : []),
      ...(wrong > 0 ? [`${wrong} answers were wrong`] : []),
    ],
  }
}
