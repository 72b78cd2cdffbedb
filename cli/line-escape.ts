const tilde = 0x7e;
const dot = 0x2e;
const lineEnds: ReadonlySet<number> = new Set([0x0a, 0x0d]);

/** What is typed in a terminal elsewhere, but for "~." at the beginning of a line, which leaves it; "~~" is one "~". */
export class LineEscape {
  #isLineStart = true;
  #isHeld = false;

  /** What is to be sent of these bytes, and whether they say to leave. */
  take(bytes: Uint8Array): { readonly send: Buffer; readonly leaves: boolean } {
    const send: number[] = [];
    for (const byte of bytes) {
      if (this.#isHeld) {
        this.#isHeld = false;
        if (byte === dot) return { send: Buffer.from(send), leaves: true };
        send.push(tilde);
        if (byte === tilde) {
          this.#isLineStart = false;
          continue;
        }
      } else if (byte === tilde && this.#isLineStart) {
        this.#isHeld = true;
        continue;
      }
      send.push(byte);
      this.#isLineStart = lineEnds.has(byte);
    }
    return { send: Buffer.from(send), leaves: false };
  }
}
