/**
 * The lines of a file that comes in chunks, without their ends. Throws what `problem` makes of a line of over `maxBytes`, or
 * of a last line without its end.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
  problem: (why: 'long' | 'cut') => Error,
): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : Buffer.from(chunk);
    let from = 0;
    for (let end = rest.indexOf(10, from); end >= 0; end = rest.indexOf(10, from)) {
      yield rest.toString('utf8', from, end);
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > maxBytes) throw problem('long');
  }
  if (rest.length > 0) throw problem('cut');
}
