/** The system's or a library's code of an error (`ENOENT`, `SQLITE_FULL`), or "unknown". */
export function errnoOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unknown'
}
