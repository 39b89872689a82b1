import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { devEnvironment, openDevFolder } from '../../src/dev.ts'

const SILENT = { info: () => undefined, warn: () => undefined }
const LONG_AGO = new Date(Date.now() - 600_000)
let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'p11kms-parent-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

describe('the folder of p11kms dev', () => {
  it('is its owner’s alone and goes with the process', async () => {
    const folder = await openDevFolder(SILENT, parent)
    writeFileSync(join(folder.path, 'secret'), 'x')
    await folder.remove()
    expect(existsSync(folder.path)).toBe(false)
  })

  it('takes what a killed process left along, and nothing that is in use, young, a link or a file', async () => {
    const path = (name: string) => join(parent, `p11kms-dev-${name}`)
    const served = await openDevFolder(SILENT, parent)
    for (const name of ['dead', 'young', 'target']) mkdirSync(path(name))
    writeFileSync(path('file'), '')
    symlinkSync(path('target'), path('link'))
    for (const one of [served.path, path('dead'), path('target'), path('file')])
      utimesSync(one, LONG_AGO, LONG_AGO)
    mkdirSync(join(parent, 'another'))
    rmSync(path('target'), { recursive: true })
    mkdirSync(path('target'))

    const folder = await openDevFolder(SILENT, parent)
    expect(existsSync(path('dead'))).toBe(false)
    for (const one of [
      served.path,
      path('young'),
      path('target'),
      path('link'),
      path('file'),
      join(parent, 'another'),
    ])
      expect(existsSync(one), one).toBe(true)
    await folder.remove()
    await served.remove()
  })

  it('keeps no store elsewhere, and takes the seed of its option', () => {
    const environment = { P11KMS_STORE_PATH: '/elsewhere.sqlite', P11KMS_SEED: '/seed.yaml', OTHER: '1' }
    expect(devEnvironment(environment, undefined)).toEqual({ P11KMS_SEED: '/seed.yaml', OTHER: '1' })
    expect(devEnvironment(environment, '/mine.yaml')).toEqual({ P11KMS_SEED: '/mine.yaml', OTHER: '1' })
  })
})
