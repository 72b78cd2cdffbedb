import { readStream } from '../base/channel/streams.ts';
import type { AdminOptions } from './admin.ts';
import { withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import { localTimes } from './local-times.ts';
import { isoTime, momentText, type Printer } from './print.ts';

/** Prints who did what, oldest first. */
export async function audit(
  _: readonly string[],
  options: AdminOptions & { readonly since?: string },
  print: Printer,
): Promise<number> {
  const since = options.since ?? '0';
  if (!/^\d{1,15}$/.test(since)) throw usageError(`Cannot begin at "${since}": write the number of an entry`);
  return withHead(options, async (head) => {
    for await (const { entries } of readStream(head.access.audit({ since: BigInt(since) }, head.metadata))) {
      for (const { seq, atMs, actor, kind, message } of entries) {
        const who = actor?.name ?? '';
        if (options.json) print.json({ seq: Number(seq), at: isoTime(atMs), actor: who, kind, message });
        else print.line(`${seq}  ${momentText(atMs)}  ${who}  ${localTimes(message)}`);
      }
    }
    return exitCodes.done;
  });
}
