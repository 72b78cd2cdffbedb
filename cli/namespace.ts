import { call } from '../base/channel/client.ts';
import { type AdminOptions, changed } from './admin.ts';
import { withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';
import { tableText } from './table.ts';

/** Lists the namespaces one may read. */
export async function listNamespaces(_: readonly string[], options: AdminOptions, print: Printer): Promise<number> {
  return withHead(options, async (head) => {
    const { namespaces } = await call(head.access, head.access.listNamespaces, {}, { metadata: head.metadata });
    if (options.json) print.json({ namespaces });
    else if (namespaces.length === 0) print.note('Nobody has submitted anything yet');
    else {
      const columns = [
        { head: 'NAMESPACE', cuts: true },
        { head: 'OWNER', cuts: true },
        { head: 'READ BY' },
        { head: 'SHARED WITH', cuts: true },
      ] as const;
      const rows = namespaces.map(({ name, owner, members, readable }) => {
        return [name, owner, readable ? 'every user' : 'members', members.join(', ')];
      });
      print.line(tableText(print, columns, rows));
    }
    return exitCodes.done;
  });
}

/** Lets a user submit to a namespace, or no longer. */
export function shareNamespace(shared: boolean) {
  return ([namespace = '', user = '']: readonly string[], options: AdminOptions, print: Printer): Promise<number> =>
    changed(options, print, ({ access, metadata }) =>
      call(access, access.shareNamespace, { namespace, user, shared }, { metadata }),
    );
}

/** Lets every user read a namespace, or its owner and members alone. */
export function openNamespace(readable: boolean) {
  return ([namespace = '']: readonly string[], options: AdminOptions, print: Printer): Promise<number> =>
    changed(options, print, ({ access, metadata }) =>
      call(access, access.setNamespace, { namespace, readable }, { metadata }),
    );
}
