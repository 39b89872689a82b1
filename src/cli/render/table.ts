/** Columns in their widths, two blanks between them; the last one as long as it likes. Texts hold no line breaks. */
export function tableOf(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, text] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length)
  }
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Lines further in. */
export function indented(lines: readonly string[], by = '  '): string[] {
  return lines.map((line) => `${by}${line}`)
}

/**
 * Text of a token or a library as it may go to a terminal: whoever named the object must not move its cursor.
 *
 * @returns `text` with control characters and whatever else does not print replaced by `?`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, '?')
}
