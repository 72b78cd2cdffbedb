import { formatBytes } from '../config/units.ts';

/** What the head's disks hold; several of them may be one disk. */
export const diskRoles = ['database', 'inputs', 'archive'] as const;
export type DiskRole = (typeof diskRoles)[number];

/** Why nothing new is written there. */
export type DiskTrouble =
  /** Less than the reserve is free. */
  | { readonly kind: 'short'; readonly freeBytes: number }
  | { readonly kind: 'no-inodes'; readonly free: number }
  | { readonly kind: 'read-only' }
  /** A write failed although all seems well: a quota, or a disk that dies. */
  | { readonly kind: 'failing'; readonly why: string };

/** What people are told of a disk: what is wrong, what waits for it, and what to do. */
export function troubleText(
  roles: readonly DiskRole[],
  path: string,
  trouble: DiskTrouble,
  reserveBytes: number,
): string {
  const [what, remedy] = textOf(trouble, reserveBytes);
  const waits = roles.map((role) => effects[role]).join(', ');
  return `the disk of the head's ${roles.join(', ')} (${path}) ${what}: ${waits}; ${remedy}, and everything goes on by itself`;
}

/** The same in a few words, for who is refused. */
export function shortText(role: DiskRole, trouble: DiskTrouble): string {
  const [what] = textOf(trouble, undefined);
  return `the disk of the head's ${role} ${what}`;
}

const effects: Readonly<Record<DiskRole, string>> = {
  database: 'nothing is submitted',
  inputs: 'no inputs are uploaded',
  archive: 'results wait at their nodes while jobs go on',
};

function textOf(trouble: DiskTrouble, reserveBytes: number | undefined): readonly [what: string, remedy: string] {
  switch (trouble.kind) {
    case 'short': {
      const kept = reserveBytes === undefined ? '' : ` of the ${formatBytes(reserveBytes)} that are kept free`;
      return [`is nearly full, ${formatBytes(trouble.freeBytes)} left${kept}`, 'make room there'];
    }
    case 'no-inodes':
      return [`takes no more files, ${trouble.free} inodes left (df -i)`, 'remove files there'];
    case 'read-only':
      return ['is read-only', 'see why in the log of its kernel and make it writable'];
    default:
      return [`does not take what is written (${trouble.why})`, 'see what is wrong with it'];
  }
}
