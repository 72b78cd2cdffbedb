import { nameKey } from '../../base/names.ts';
import type { NamespaceView, TokenView, UserView } from '../../proto/gen/labrun/v1/access.ts';
import { readableBy, type Who } from '../access.ts';
import type { AccessState, Token } from '../scheduler/access-state.ts';
import { type Usage, usesOf } from '../usage.ts';
import { writeActor } from '../wire.ts';

/** Tokens that still let someone in, oldest first. */
export function viewTokens(access: AccessState, nowMs: number): TokenView[] {
  return [...access.tokens.values()].filter(({ expiresAtMs }) => expiresAtMs > nowMs).map(viewToken);
}

/** A token without its secret, which nobody has any more. */
export function viewToken(token: Token): TokenView {
  const { id, use, usesLeft, expiresAtMs, createdBy, createdAtMs } = token;
  const whom =
    use.kind === 'node'
      ? { node: true, owner: use.owner, userName: '', admin: false }
      : { node: false, owner: '', userName: use.name, admin: use.admin };
  return {
    id,
    ...whom,
    usesLeft,
    expiresAtMs: BigInt(expiresAtMs),
    createdBy: writeActor(createdBy),
    createdAtMs: BigInt(createdAtMs),
  };
}

/** All users, by name. */
export function viewUsers(access: AccessState, nowMs: number): UserView[] {
  return [...access.users.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, admin, joinedAtMs, certificates }) => ({
      name,
      admin,
      joinedAtMs: BigInt(joinedAtMs),
      certificates: [...certificates.values()].filter((endsMs) => endsMs > nowMs).length,
    }));
}

/** Namespaces the caller may read, by name. */
export function viewNamespaces(access: AccessState, who: Who, usage: Usage): NamespaceView[] {
  const mayRead = readableBy(access, who);
  const nameOf = (key: string) => access.users.get(key)?.name ?? key;
  return [...access.namespaces.values()]
    .filter(({ name }) => mayRead(name))
    .sort((a, b) => (nameKey(a.name) < nameKey(b.name) ? -1 : 1))
    .map(({ name, owner, members, readable }) => {
      const quotas = usesOf(usage, name).map(({ kind, bytes, quota }) => ({
        kind,
        usedBytes: bytes === undefined ? undefined : BigInt(bytes),
        quotaBytes: BigInt(quota),
      }));
      return { name, owner, members: [...members].map(nameOf), readable, quotas };
    });
}
