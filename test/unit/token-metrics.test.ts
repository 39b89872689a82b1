import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { addTokenMetrics, type TokenGauges } from '../../src/token-metrics.ts'

const STATUS: TokenGauges = {
  state: 'connecting',
  breaker: 'half-open',
  queueDepth: 3,
  generation: 4,
  lanesServing: 2,
  lanesLost: 5,
  lanesHung: 1,
  logins: 4,
  loginsRefused: 1,
  reconnects: { CKR_DEVICE_REMOVED: 2, 'missing-key': 1 },
  sessionsDiscarded: 7,
  sessionMisuses: 0,
}

it('shows what happened to the connection of each token, however often it is asked', async () => {
  const registry = new Registry()
  const members = [
    { token: 'main', member: 'primary', status: STATUS },
    { token: 'main', member: 'replica', status: { ...STATUS, breaker: 'closed' } },
  ] as const
  addTokenMetrics(registry, () => members)
  await registry.metrics()
  const lines = (await registry.metrics()).split('\n')
  for (const line of [
    'p11kms_token_up{token="main",member="primary"} 0',
    'p11kms_token_lanes_serving{token="main",member="primary"} 2',
    'p11kms_token_lanes_hung{token="main",member="primary"} 1',
    'p11kms_token_reconnects_total{token="main",member="primary",reason="CKR_DEVICE_REMOVED"} 2',
    'p11kms_token_reconnects_total{token="main",member="primary",reason="missing-key"} 1',
    'p11kms_token_logins_total{token="main",member="primary",outcome="ok"} 4',
    'p11kms_token_logins_total{token="main",member="primary",outcome="refused"} 1',
    'p11kms_token_sessions_discarded_total{token="main",member="primary"} 7',
    'p11kms_token_session_misuses_total{token="main",member="primary"} 0',
    'p11kms_token_breaker_state{token="main",member="primary",state="half-open"} 1',
    'p11kms_token_breaker_state{token="main",member="primary",state="closed"} 0',
    'p11kms_token_breaker_state{token="main",member="replica",state="closed"} 1',
  ]) {
    expect(lines).toContain(line)
  }
})
