/** A text with everything that differs from machine to machine taken out, so that its shape can be compared. */
export function shapeOf(text: string): string {
  return text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replace(/\/[\w./-]+( -> \/[\w./-]+)?/g, 'PATH')
    .replace(/\b(0x)?[0-9a-f]{4,}\b/g, 'HEX')
    .replace(/\d+(\.\d+)*/g, 'N')
    .replace(/ {2,}/g, '  ')
    .trim()
}
