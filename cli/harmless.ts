/**
 * Text from outside (names, messages, logs of jobs) fit for a terminal: control characters are shown as `\x1b`, so that
 * no job can move the cursor, recolour the screen or retitle the window of whoever reads about it. Line ends and tabs
 * stay, and so do the colours this program itself adds.
 */
export function harmless(text: string): string {
  return text.replace(controls, (found) => (ownColour.test(found) ? found : escapeOf(found)));
}

/** Either one of the colour codes that picocolors writes, or a single control character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const controls = /\x1b\[\d{1,2}m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const ownColour = /^\x1b\[\d{1,2}m$/;

function escapeOf(text: string): string {
  const code = text.charCodeAt(0);
  const shown = code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  return shown + text.slice(1);
}
