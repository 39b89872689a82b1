import { beforeEach, describe, expect, it, vi } from 'vitest'
import * as authorization from '../../../src/core/authorize/authorize.ts'
import type { ClientAccess } from '../../../src/core/client-access.ts'
import { KmsError } from '../../../src/core/errors.ts'
import type { CallContext } from '../../../src/core/kms-context.ts'
import { clientAccessFixture } from '../../support/client-access-fixture.ts'
import { call } from '../../support/kms-fixture.ts'
import { ManualClock } from '../../support/manual-clock.ts'

vi.mock(import('../../../src/core/authorize/authorize.ts'), async (original) => {
  const actual = await original()
  return { ...actual, authorize: vi.fn(actual.authorize) }
})
const authorize = vi.mocked(authorization.authorize)

const POLICY = { name: 'p', description: '', permissions: [], resources: [] }
const POINT = { name: 'a', description: '', policies: ['p'] }
const CLIENT_KEY = { accessPoint: 'a', password: 'pass-word-1' }

/** Every method, and the action that it must be allowed. */
const METHODS: Readonly<
  Record<
    keyof ClientAccess,
    readonly [
      action: 'ManageClientAccess' | 'ReadClientAccess',
      run: (clients: ClientAccess, context: CallContext) => Promise<unknown>,
    ]
  >
> = {
  createPolicy: ['ManageClientAccess', (clients, c) => clients.createPolicy(c, { ...POLICY, name: 'q' })],
  getPolicy: ['ReadClientAccess', (clients, c) => clients.getPolicy(c, 'p')],
  listPolicies: ['ReadClientAccess', (clients, c) => clients.listPolicies(c)],
  updatePolicy: [
    'ManageClientAccess',
    (clients, c) => clients.updatePolicy(c, { name: 'p', description: 'x' }),
  ],
  deletePolicy: ['ManageClientAccess', (clients, c) => clients.deletePolicy(c, 'p')],
  createPoint: ['ManageClientAccess', (clients, c) => clients.createPoint(c, { ...POINT, name: 'b' })],
  getPoint: ['ReadClientAccess', (clients, c) => clients.getPoint(c, 'a')],
  listPoints: ['ReadClientAccess', (clients, c) => clients.listPoints(c)],
  updatePoint: [
    'ManageClientAccess',
    (clients, c) => clients.updatePoint(c, { name: 'a', description: 'x' }),
  ],
  deletePoint: ['ManageClientAccess', (clients, c) => clients.deletePoint(c, 'a')],
  createClientKey: ['ManageClientAccess', (clients, c) => clients.createClientKey(c, CLIENT_KEY)],
  getClientKey: ['ReadClientAccess', (clients, c) => clients.getClientKey(c, 'KAAP.x')],
  listClientKeys: ['ReadClientAccess', (clients, c) => clients.listClientKeys(c, 'a')],
  deleteClientKey: ['ManageClientAccess', (clients, c) => clients.deleteClientKey(c, 'KAAP.x')],
}

let issued: number
let fixture: ReturnType<typeof clientAccessFixture>
beforeEach(async () => {
  authorize.mockReset()
  issued = 0
  const issue = async () => {
    issued += 1
    return { publicKey: Buffer.of(1), pkcs12: Buffer.of(2) }
  }
  fixture = clientAccessFixture({ clock: new ManualClock(), issuer: { issue } })
  await fixture.clients.createPolicy(call(), POLICY)
  await fixture.clients.createPoint(call(), POINT)
})

describe('access points of the instance API', () => {
  it.each(Object.entries(METHODS))(
    '%s asks whether it may, before anything else',
    async (_, [action, run]) => {
      const { access } = fixture
      const touched: string[] = []
      for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(access)))
        if (name !== 'constructor')
          vi.spyOn(access, name as 'listAccessPoints').mockImplementation(async () => {
            touched.push(name)
            return []
          })
      authorize.mockImplementation((_principal, asked) => {
        if (asked === action) throw new KmsError('ACCESS_DENIED', 'Denied by the test.', { action: asked })
      })
      await expect(run(fixture.clients, call())).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
      expect([touched, issued]).toEqual([[], 0])
    },
  )

  it('make no client key that there is no room for', async () => {
    for (let key = 0; key < 10; key++) await fixture.clients.createClientKey(call(), CLIENT_KEY)
    const refused = fixture.clients.createClientKey(call(), CLIENT_KEY)
    await expect(refused).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(issued).toBe(10)
  })

  it('keep both of two changes that are made at the same time', async () => {
    await Promise.all([
      fixture.clients.updatePolicy(call(), { name: 'p', resources: ['key/*'] }),
      fixture.clients.updatePolicy(call(), { name: 'p', description: 'changed' }),
      fixture.clients.updatePoint(call(), { name: 'a', policies: [] }),
      fixture.clients.updatePoint(call(), { name: 'a', description: 'changed' }),
    ])
    expect(await fixture.clients.getPolicy(call(), 'p')).toMatchObject({
      resources: ['key/*'],
      description: 'changed',
    })
    expect(await fixture.clients.getPoint(call(), 'a')).toMatchObject({
      policies: [],
      description: 'changed',
    })
  })
})
