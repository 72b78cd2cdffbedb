import { hostname } from 'node:os';
import { call } from '../base/channel/client.ts';
import { readDuration } from '../config/units.ts';
import type { CreateTokenResponse, TokenView } from '../proto/gen/labrun/v1/access.ts';
import { type AdminOptions, changed } from './admin.ts';
import { type Head, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import { momentText, type Printer } from './print.ts';
import { tableText } from './table.ts';

/** Makes a token that lets a workstation or a person in. It is printed once and kept nowhere. */
export async function createToken(
  _: readonly string[],
  options: AdminOptions & {
    readonly node?: boolean;
    readonly user?: string;
    readonly admin?: boolean;
    readonly expires?: string;
    readonly uses?: string;
    readonly owner?: string;
  },
  print: Printer,
): Promise<number> {
  const { node = false, user = '', admin = false, owner = '' } = options;
  if (node === (user !== '')) throw usageError('Cannot make a token: say for whom, --node or --user NAME');
  if (admin && node) throw usageError('Cannot make a node an admin: give --user NAME --admin');
  if (owner !== '' && !node) throw usageError('Cannot give a user an owner: --owner goes with --node');
  const request = {
    node,
    userName: user,
    admin,
    owner,
    expiresMs: BigInt(expiry(options.expires)),
    uses: count(options.uses),
  };
  return withHead(options, async (head) => {
    const made = await call(head.access, head.access.createToken, request, { metadata: head.metadata });
    if (options.json)
      print.json({ token: made.token, head: whereOf(head, made), ...(made.view ? tokenJson(made.view) : {}) });
    else {
      print.line(made.token);
      if (print.width !== undefined) for (const line of nextLines(whereOf(head, made), node)) print.note(line);
    }
    return exitCodes.done;
  });
}

/** Lists tokens that still let someone in. */
export async function listTokens(_: readonly string[], options: AdminOptions, print: Printer): Promise<number> {
  return withHead(options, async (head) => {
    const { tokens } = await call(head.access, head.access.listTokens, {}, { metadata: head.metadata });
    if (options.json) print.json({ tokens: tokens.map(tokenJson) });
    else if (tokens.length === 0) print.note('No token is waiting to be used');
    else {
      const columns = [
        { head: 'TOKEN' },
        { head: 'FOR', cuts: true },
        { head: 'USES', align: 'right' },
        { head: 'UNTIL' },
        { head: 'MADE BY', cuts: true },
      ] as const;
      const rows = tokens.map((token) => [
        token.id,
        token.node
          ? `a node${token.owner === '' ? '' : ` of ${token.owner}`}`
          : `${token.userName}${token.admin ? ' (admin)' : ''}`,
        String(token.usesLeft),
        momentText(token.expiresAtMs),
        token.createdBy?.name ?? '',
      ]);
      print.line(tableText(print, columns, rows));
    }
    return exitCodes.done;
  });
}

/** Makes a token useless. Who has joined with it stays. */
export async function revokeToken(
  [id = '']: readonly string[],
  options: AdminOptions,
  print: Printer,
): Promise<number> {
  return changed(options, print, ({ access, metadata }) => call(access, access.revokeToken, { id }, { metadata }));
}

/** Where the other end finds the head: as we did, or over its own socket as it says itself. */
function whereOf(head: Head, made: CreateTokenResponse): string {
  if (!head.address.startsWith('unix:')) return head.address;
  return made.head === '' ? `${hostname()}:7420` : made.head;
}

/** What is typed at the other end. */
function nextLines(where: string, node: boolean): string[] {
  return node
    ? [`There: labrun agent join ${where} --token T --data DIR`, 'then:  labrun agent start --data DIR']
    : [`There: labrun login ${where} --token T`];
}

function expiry(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = readDuration(text);
  if (typeof ms !== 'number')
    throw usageError(`Cannot make a token that expires in "${text}": write a time such as 30m or 12h`);
  return ms;
}

function count(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw usageError(`Cannot make a token for "${text}" uses: write a number from 1 to 1000`);
  return Number(text);
}

function tokenJson(token: TokenView) {
  const { id, node, userName, admin, owner, usesLeft, expiresAtMs, createdBy, createdAtMs } = token;
  const times = { expiresAt: isoOf(expiresAtMs), createdAt: isoOf(createdAtMs) };
  return {
    id,
    for: node ? 'node' : 'user',
    user: userName,
    admin,
    owner,
    usesLeft,
    ...times,
    createdBy: createdBy?.name ?? '',
  };
}

function isoOf(ms: bigint): string {
  return new Date(Number(ms)).toISOString();
}
