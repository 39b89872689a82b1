/** Settings that an environment variable overrides, for containers. */
const SECTIONS = {
  server: ['host', 'port', 'workers', 'bodyBytesMax', 'connectionsMax', 'requestTimeoutMs', 'drainTimeoutMs'],
  log: ['level'],
  store: ['path'],
  keys: [
    'tokenForNewKeys',
    'cacheMaxAgeMs',
    'lastUsageIntervalMs',
    'cacheEntriesMax',
    'maintenanceIntervalMs',
    'destructionGraceMs',
    'keyVersionIntervalDays',
    'gcmInvocationsMax',
    'gcmRotateAt',
    'gcmLeaseInvocations',
  ],
  aws: ['partition', 'keyPairWaitMs'],
} as const

/** An environment variable and the setting it stands for. */
export interface EnvironmentOverride {
  /** `P11KMS_SERVER_PORT` for `server.port`. */
  readonly variable: string
  readonly section: string
  readonly setting: string
}

export const ENVIRONMENT_OVERRIDES: readonly EnvironmentOverride[] = Object.entries(SECTIONS).flatMap(
  ([section, settings]) =>
    settings.map((setting) => ({
      variable: `P11KMS_${section.toUpperCase()}_${setting.replace(/[A-Z]/g, '_$&').toUpperCase()}`,
      section,
      setting,
    })),
)

/** `document` with what `environment` overrides; numbers are given as decimal text. */
export function applyEnvironment(document: unknown, environment: NodeJS.ProcessEnv): unknown {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return document
  const merged: Record<string, unknown> = { ...document }
  for (const { variable, section, setting } of ENVIRONMENT_OVERRIDES) {
    const text = environment[variable]
    if (text === undefined || text === '') continue
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : text
    const before = merged[section]
    merged[section] = { ...(typeof before === 'object' ? before : {}), [setting]: value }
  }
  return merged
}
