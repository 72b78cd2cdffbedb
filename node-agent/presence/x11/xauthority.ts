/** The cookie with which a program of this account may speak to an X server. */
export interface Cookie {
  readonly name: string;
  readonly data: Buffer;
}

const cookieName = 'MIT-MAGIC-COOKIE-1';
/** Families of addresses in the file: a host's own sockets, and any. */
const localFamily = 256;
const wildFamily = 65_535;

/**
 * Finds the cookie of local display `number` in the content of an Xauthority file; nothing when it has none. A file that
 * is cut off is read as far as it goes. A file may serve many hosts of one home: the entry of `host` is preferred.
 */
export function findCookie(content: Buffer, number: string, host: string): Cookie | undefined {
  const fit = [...entries(content)].filter(
    (entry) =>
      entry.name === cookieName &&
      (entry.family === localFamily || entry.family === wildFamily) &&
      (entry.number === number || entry.number === ''),
  );
  const best = fit.find(({ address }) => address === host) ?? fit[0];
  return best && { name: best.name, data: best.data };
}

interface Entry {
  readonly family: number;
  readonly address: string;
  readonly number: string;
  readonly name: string;
  readonly data: Buffer;
}

function* entries(content: Buffer): Generator<Entry> {
  let at = 0;
  const text = (): Buffer | undefined => {
    if (at + 2 > content.length) return undefined;
    const end = at + 2 + content.readUInt16BE(at);
    if (end > content.length) return undefined;
    const bytes = content.subarray(at + 2, end);
    at = end;
    return bytes;
  };
  while (at + 2 <= content.length) {
    const family = content.readUInt16BE(at);
    at += 2;
    const [address, number, name, data] = [text(), text(), text(), text()];
    if (address === undefined || number === undefined || name === undefined || data === undefined) return;
    yield { family, address: `${address}`, number: `${number}`, name: `${name}`, data };
  }
}
