import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LogSink } from '../../src/log-sink.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'p11kms-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const line = (n: number) => `${JSON.stringify({ n, text: 'x'.repeat(500) })}\n`

describe('LogSink', () => {
  it('holds lines together and writes them in order', () => {
    const file = join(folder, 'log')
    const sink = new LogSink(openSync(file, 'a'))
    sink.write(line(1))
    expect(readFileSync(file, 'utf8')).toBe('')
    sink.write(line(2))
    sink.flush()
    expect(readFileSync(file, 'utf8')).toBe(line(1) + line(2))
    for (let n = 0; n < 100; n++) sink.write(line(n))
    expect(readFileSync(file, 'utf8').length).toBeGreaterThan(40_000)
  })

  it('never throws where nothing can be written, and counts what it dropped', () => {
    const sink = new LogSink(openSync('/dev/full', 'w'))
    for (let n = 0; n < 1000; n++) sink.write(line(n))
    sink.flush()
    expect(sink.dropped).toBeGreaterThan(0)
  })

  it('keeps what a slow reader has not taken, up to a bound, and tells of the rest later', () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
    const sink = new LogSink(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK))
    for (let n = 0; n < 5000; n++) sink.write(line(n))
    sink.flush()
    expect(sink.dropped).toBeGreaterThan(0)
    const chunks: Buffer[] = []
    const drain = () => {
      const chunk = Buffer.alloc(65_536)
      for (;;) {
        try {
          const bytes = readSync(reader, chunk)
          if (bytes === 0) return
          chunks.push(Buffer.from(chunk.subarray(0, bytes)))
        } catch {
          return
        }
      }
    }
    for (let i = 0; i < 100; i++) {
      drain()
      sink.flush()
    }
    drain()
    closeSync(reader)
    const lines = Buffer.concat(chunks)
      .toString('utf8')
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text))
    expect(lines.slice(0, 3).map(({ n }) => n)).toEqual([0, 1, 2])
    expect(lines.some(({ msg, dropped }) => msg === 'log lines were dropped' && dropped > 0)).toBe(true)
  })
})
