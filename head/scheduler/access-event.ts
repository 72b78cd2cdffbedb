import type { NodeId } from '../../base/ids.ts';
import type { TokenUse } from './access-state.ts';

/** Whom a certificate was made for. */
export type Enrolled =
  | { readonly kind: 'user'; readonly name: string; readonly admin: boolean }
  | { readonly kind: 'node'; readonly nodeId: NodeId; readonly name: string; readonly owner: string };

/** What has happened to those who belong. */
export type AccessEvent =
  | {
      readonly kind: 'token-created';
      readonly tokenId: string;
      readonly secretHash: string;
      readonly use: TokenUse;
      readonly uses: number;
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'token-revoked'; readonly tokenId: string }
  /** By a token, or as a renewal (no token). */
  | {
      readonly kind: 'certificate-issued';
      readonly tokenId: string;
      readonly enrolled: Enrolled;
      readonly serial: string;
      readonly notAfterMs: number;
    }
  | { readonly kind: 'user-removed'; readonly name: string }
  | { readonly kind: 'node-removed'; readonly nodeId: NodeId }
  | { readonly kind: 'node-owned'; readonly nodeId: NodeId; readonly owner: string }
  | {
      readonly kind: 'namespace-shared';
      readonly namespace: string;
      readonly user: string;
      readonly shared: boolean;
    }
  | { readonly kind: 'namespace-opened'; readonly namespace: string; readonly readable: boolean }
  /** Its quota is used up, and how; or, with an empty text, it has room again. */
  | { readonly kind: 'namespace-filled'; readonly namespace: string; readonly full: string };
