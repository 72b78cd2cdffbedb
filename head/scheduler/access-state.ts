import type { NodeId } from '../../base/ids.ts';
import type { Actor } from './actor.ts';

/** Who belongs to the cluster. Names are kept as written and found by their key. */
export interface AccessState {
  readonly tokens: ReadonlyMap<string, Token>;
  readonly users: ReadonlyMap<string, User>;
  /** Nodes that have joined; those on the head's own socket need not. */
  readonly members: ReadonlyMap<NodeId, NodeMember>;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /** Names of nodes that were removed, for what they did before. */
  readonly formerNodes: ReadonlyMap<NodeId, string>;
}

/** Whom a token lets in. */
export type TokenUse =
  | { readonly kind: 'node'; readonly owner: string }
  | { readonly kind: 'user'; readonly name: string; readonly admin: boolean };

/** What is kept of a join token. */
export interface Token {
  readonly id: string;
  readonly secretHash: string;
  readonly use: TokenUse;
  readonly usesLeft: number;
  readonly expiresAtMs: number;
  readonly createdBy: Actor;
  readonly createdAtMs: number;
}

/** Serial numbers of valid certificates, and when each ends. */
export type Certificates = ReadonlyMap<string, number>;

export interface User {
  readonly name: string;
  readonly admin: boolean;
  readonly joinedAtMs: number;
  readonly certificates: Certificates;
}

export interface NodeMember {
  readonly name: string;
  /** The user who sits at it; empty for nobody. */
  readonly owner: string;
  readonly certificates: Certificates;
}

/** Belongs to the first user who used it. */
export interface Namespace {
  readonly name: string;
  readonly owner: string;
  /** Keys of the names of others who may use it. */
  readonly members: ReadonlySet<string>;
  /** Whether every user may read it. */
  readonly readable: boolean;
  /** Why none of its jobs starts: its quota is used up. Empty: it has room. */
  readonly full: string;
}

/** The same, for those who apply events. */
export interface AccessDraft extends AccessState {
  tokens: Map<string, Token>;
  users: Map<string, User>;
  members: Map<NodeId, NodeMember>;
  namespaces: Map<string, Namespace>;
  formerNodes: Map<NodeId, string>;
}

/** Nobody belongs yet. */
export function emptyAccess(): AccessDraft {
  return { tokens: new Map(), users: new Map(), members: new Map(), namespaces: new Map(), formerNodes: new Map() };
}
