/*
 * PostgreSQL keeps every character but U+0000, which people do send. It is written as U+FFFE, which is no character and so in hardly any
 * text, and a `0`; one that is there all the same is written as U+FFFE and an `E`.
 */

/** The text as PostgreSQL can keep it; different texts stay different. */
export function escapeNul(text: string): string {
  return /[\0\uFFFE]/.test(text) ? text.replaceAll('\uFFFE', '\uFFFEE').replaceAll('\0', '\uFFFE0') : text
}

/** What `escapeNul` was given. */
export function unescapeNul(stored: string): string {
  return stored.includes('\uFFFE') ? stored.replaceAll('\uFFFE0', '\0').replaceAll('\uFFFEE', '\uFFFE') : stored
}
