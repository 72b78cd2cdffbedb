import { call } from '../base/channel/client.ts';
import { type AdminOptions, changed } from './admin.ts';
import { withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { isoTime, momentText, type Printer } from './print.ts';
import { tableText } from './table.ts';

/** Lists the users. */
export async function listUsers(_: readonly string[], options: AdminOptions, print: Printer): Promise<number> {
  return withHead(options, async (head) => {
    const { users } = await call(head.access, head.access.listUsers, {}, { metadata: head.metadata });
    if (options.json) {
      const rows = users.map(({ joinedAtMs, ...row }) => ({ ...row, joinedAt: isoTime(joinedAtMs) }));
      print.json({ users: rows });
    } else if (users.length === 0)
      print.note('Nobody has logged in yet: make a token with "labrun token create --user NAME"');
    else {
      const columns = [
        { head: 'USER', cuts: true },
        { head: 'ADMIN' },
        { head: 'SINCE' },
        { head: 'CERTIFICATES', align: 'right' },
      ] as const;
      const cells = users.map(({ name, admin, joinedAtMs, certificates }) => {
        return [name, admin ? 'yes' : '', momentText(joinedAtMs), String(certificates)];
      });
      print.line(tableText(print, columns, cells));
    }
    return exitCodes.done;
  });
}

/** Takes a user's certificates away, at once. Batches and results stay. */
export async function removeUser(
  [name = '']: readonly string[],
  options: AdminOptions,
  print: Printer,
): Promise<number> {
  return changed(options, print, ({ access, metadata }) => call(access, access.removeUser, { name }, { metadata }));
}

/** Takes a node's certificate away, at once. Its jobs wait again. */
export async function removeNode(
  [node = '']: readonly string[],
  options: AdminOptions,
  print: Printer,
): Promise<number> {
  return changed(options, print, ({ access, metadata }) => call(access, access.removeNode, { node }, { metadata }));
}

/** Says who sits at a node; without a user, nobody does. */
export async function ownNode(
  [node = '', owner = '']: readonly string[],
  options: AdminOptions,
  print: Printer,
): Promise<number> {
  return changed(options, print, ({ access, metadata }) =>
    call(access, access.setNodeOwner, { node, owner }, { metadata }),
  );
}
