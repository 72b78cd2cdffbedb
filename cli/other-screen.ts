/**
 * Knows whether a program that paints here has gone over to the terminal's other screen, as editors do. To leave that
 * screen without being on it moves the cursor to where it was long ago.
 */
export class OtherScreen {
  #isOn = false;
  #tail = '';

  /** Whether the program has not come back from it. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /** What the program shows; a word of the terminal's may begin in one piece of it and end in the next. */
  take(data: Uint8Array): void {
    const text = this.#tail + Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
    const last = [...text.matchAll(words)].at(-1);
    if (last) this.#isOn = last[1] === 'h';
    this.#tail = text.slice(-wordMax);
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what terminals are told
const words = /\u001b\[\?(?:1049|1047|47)([hl])/g;
/** One character less than the longest of these words. */
const wordMax = 7;
