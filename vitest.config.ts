import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Lanes are threads that load TypeScript. What Node made of it is kept, so that it is not made in each of them: that takes most of
// the time of their start, and Node 24's stripper, WebAssembly in several threads, has been seen to end the process.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compile', import.meta.url))

/** Test projects by what they talk to; `REQUIRE_ALL=1` turns a test skipped for a missing service into a failure. */
const project = (name: string, overrides: Record<string, unknown> = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], ...overrides },
})

export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('contract', { pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 }),
      project('http'),
      project('token', { pool: 'forks', testTimeout: 30_000, hookTimeout: 30_000 }),
      // Only where scripts/opencryptoki runs it.
      ...(process.env['OPENCRYPTOKI_MODULE']
        ? [project('by-hand', { pool: 'forks', testTimeout: 30_000 })]
        : []),
      // Containers of the image that softhsm/Dockerfile builds; the first file's hook builds it.
      project('docker', {
        pool: 'forks',
        testTimeout: 120_000,
        hookTimeout: 900_000,
        fileParallelism: false,
      }),
      project('e2e', { pool: 'forks', testTimeout: 120_000, hookTimeout: 60_000, fileParallelism: false }),
    ],
  },
})
