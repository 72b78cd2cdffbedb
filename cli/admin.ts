import { call } from '../base/channel/client.ts';
import type { AccessChanged } from '../proto/gen/labrun/v1/access.ts';
import { type Head, type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { isoTime, momentText, type Printer } from './print.ts';

/** Options of every command about who belongs: `--data` stands for the head's own socket there. */
export interface AdminOptions extends HeadOptions {
  readonly json?: boolean;
}

/** Makes a change and says what came of it. */
export async function changed(
  options: AdminOptions,
  print: Printer,
  ask: (head: Head) => Promise<AccessChanged>,
): Promise<number> {
  return withHead(options, async (head) => {
    const { message } = await ask(head);
    if (options.json) print.json({ changed: message !== '', message });
    else print.line(message === '' ? 'It was so already' : message);
    return exitCodes.done;
  });
}

/** Whom the head takes one for. */
export async function whoAmI(_: readonly string[], options: AdminOptions, print: Printer): Promise<number> {
  return withHead(options, async (head) => {
    const me = await call(head.access, head.access.whoAmI, {}, { metadata: head.metadata });
    const name = me.actor?.name ?? '';
    const expiresAt = me.local ? null : isoTime(me.expiresAtMs);
    const { admin, local, clusterId: cluster, ownedNodes } = me;
    if (options.json) print.json({ user: name, admin, local, cluster, head: head.address, expiresAt, ownedNodes });
    else {
      const how = local ? 'over its own socket' : `by a certificate until ${momentText(me.expiresAtMs)}`;
      print.line(`"${name}"${admin ? ', an admin,' : ''} at ${head.address}, ${how}`);
      if (ownedNodes.length > 0) print.line(`Your workstations: ${ownedNodes.join(', ')}`);
    }
    return exitCodes.done;
  });
}
