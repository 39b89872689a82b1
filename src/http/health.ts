/** One thing that the service needs: `store`, `token:<name>`. Texts are shown to anybody who asks: no secret in them. */
export interface ComponentHealth {
  readonly ok: boolean
  /** Why it does not work. */
  readonly reason?: string
  /** What the operator can do about it. */
  readonly hint?: string
}

export interface ReadyReport {
  readonly ready: boolean
  /** Whether something is wrong, ready or not. */
  readonly degraded: boolean
  readonly components: Readonly<Record<string, ComponentHealth>>
}

/** How the composition root tells the server how things are. */
export interface HealthChecks {
  /** Tries the store and every token for real. Bounded in time by whoever implements it. */
  ready(): Promise<ReadyReport>
}

const CHECK_FAILED: ReadyReport = {
  ready: false,
  degraded: true,
  components: {
    check: { ok: false, reason: 'The check itself failed.', hint: 'See the log of this process.' },
  },
}

/** The report of {@link HealthChecks}; a check that fails by itself is a report too, and `onError` is told why. */
export async function checkReady(
  checks: HealthChecks,
  onError: (error: unknown) => void,
): Promise<ReadyReport> {
  try {
    return await checks.ready()
  } catch (error) {
    onError(error)
    return CHECK_FAILED
  }
}
