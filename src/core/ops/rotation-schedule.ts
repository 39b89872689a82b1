import { type Clock, DAY_MS } from '../../lib/clock.ts'
import { invariant } from '../../lib/invariant.ts'
import { ROTATION_PERIOD_DAYS, type RotationSchedule } from '../key.ts'

/** A schedule that begins now. `periodDays` is within {@link ROTATION_PERIOD_DAYS}, which the façades see to. */
export function newSchedule(clock: Clock, periodDays: number): RotationSchedule {
  const { min, max } = ROTATION_PERIOD_DAYS
  invariant(periodDays >= min && periodDays <= max, 'rotation period out of range')
  return { periodDays, nextAt: clock.now() + periodDays * DAY_MS }
}
