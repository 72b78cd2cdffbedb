/**
 * Text from outside (names, messages, logs of jobs) fit for a terminal: control characters are shown as `\x1b`, so that
 * no job can move the cursor, recolour the screen or retitle the window of whoever reads about it. So are the marks
 * that turn the direction of writing, since with them a line reads as what it is not. Line ends and tabs stay.
 */
export function harmless(text: string): string {
  return text.replace(controls, (found) => {
    const code = found.charCodeAt(0);
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

/** The same as `harmless`, on one line: for where a line of its own would look like one of ours. */
export function harmlessLine(text: string): string {
  return harmless(text.replace(/\s*[\n\t]\s*/g, ' '));
}

/** JSON fit for a terminal. JSON may hold U+009B and its like bare; each becomes `\u009b`, which means the same. */
export function harmlessJson(json: string): string {
  return json.replace(controls, (found) => `\\u${hex(found.charCodeAt(0), 4)}`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
