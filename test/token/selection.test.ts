import { cpSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TokenSelector } from '../../src/providers/pkcs11/token-selector.ts'
import {
  describeWith,
  makeSoftHsm,
  SOFTHSM_MODULE,
  type SoftHsm,
  settingsFor,
  startProvider,
} from '../support/softhsm.ts'

describeWith([SOFTHSM_MODULE], 'choosing a token', () => {
  let softHsm: SoftHsm
  let serials: readonly [one: string, twin: string, other: string]

  beforeAll(() => {
    // We refuse to make two tokens of one label, so one of them is made elsewhere and moved in.
    const elsewhere = makeSoftHsm()
    const twin = elsewhere.initToken('twin')
    softHsm = makeSoftHsm()
    const one = softHsm.initToken('twin')
    cpSync(elsewhere.tokens, softHsm.tokens, { recursive: true })
    elsewhere.remove()
    serials = [one, twin, softHsm.initToken('other')]
  })

  afterAll(() => softHsm?.remove())

  const statusOf = async (select: TokenSelector) => {
    const provider = await startProvider(settingsFor('unused', { select, reconnectDelayMs: 60_000 }))
    const status = provider.status()
    await provider.close()
    return status
  }

  it('refuses a label that two tokens have, and says what to do', async () => {
    expect(await statusOf({ label: 'twin' })).toMatchObject({
      state: 'connecting',
      reason: '2 tokens have label "twin": the choice is ambiguous.',
      hint: 'Select the token by its serial number.',
    })
  })

  it('takes the serial before the label', async () => {
    const status = await statusOf({ label: 'other', serial: serials[1] })
    expect(status).toMatchObject({ state: 'up', tokenInfo: { label: 'twin', serial: serials[1] } })
  })

  it('takes an RFC 7512 URI', async () => {
    const uri = `pkcs11:token=twin;serial=${serials[0]};manufacturer=SoftHSM%20project;model=SoftHSM%20v2`
    expect(await statusOf({ uri })).toMatchObject({ state: 'up', tokenInfo: { serial: serials[0] } })
    expect(await statusOf({ uri: 'pkcs11:manufacturer=SoftHSM%20project' })).toMatchObject({
      reason: expect.stringContaining('ambiguous'),
    })
  })

  it('gives a token its user PIN that was left without one, once, and leaves others as they are', async () => {
    softHsm.initTokenHalfway('half')
    expect(await statusOf({ label: 'half' })).toMatchObject({
      state: 'down',
      reason: 'C_Login returned CKR_USER_PIN_NOT_INITIALIZED (0x102)',
    })
    const serial = softHsm.ensureToken('half')
    expect(await statusOf({ label: 'half' })).toMatchObject({ state: 'up', tokenInfo: { serial } })
    expect(softHsm.ensureToken('half')).toBe(serial)
    expect(softHsm.ensureToken('other')).toBe(serials[2])
    const made = softHsm.ensureToken('made')
    expect(await statusOf({ serial: made })).toMatchObject({ state: 'up', tokenInfo: { label: 'made' } })
  })

  it('refuses to make a second token of one label', () => {
    expect(() => softHsm.initToken('other')).toThrow('exists already')
  })
})
