import { call } from '../base/channel/client.ts';
import { formatBytes } from '../config/units.ts';
import type { QuotaUse } from '../proto/gen/labrun/v1/access.ts';
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
        { head: 'USED' },
      ] as const;
      const rows = namespaces.map(({ name, owner, members, readable, quotas }) => {
        return [name, owner, readable ? 'every user' : 'members', members.join(', '), usedText(quotas)];
      });
      print.line(tableText(print, columns, rows));
    }
    return exitCodes.done;
  });
}

/** `archive 12 GiB of 500 GiB`, for each quota there is. */
function usedText(quotas: readonly QuotaUse[]): string {
  const amount = (bytes: bigint | undefined) => (bytes === undefined ? '(being counted)' : formatBytes(Number(bytes)));
  return quotas
    .map(({ kind, usedBytes, quotaBytes }) => `${kind} ${amount(usedBytes)} of ${amount(quotaBytes)}`)
    .join(', ');
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
