import type { NodeId } from '../../base/ids.ts';
import type { Enrolled } from './access-event.ts';
import type { TokenUse } from './access-state.ts';

/** What is asked about those who belong. Whether the caller may ask it was decided at the door. */
export type AccessCommand =
  | {
      readonly kind: 'create-token';
      readonly tokenId: string;
      readonly secretHash: string;
      readonly use: TokenUse;
      readonly uses: number;
      readonly lifeMs: number;
    }
  /** By id, or the unique beginning of one. */
  | { readonly kind: 'revoke-token'; readonly id: string }
  /** The secret was right; the certificate is made and not yet handed out. */
  | {
      readonly kind: 'enrol';
      readonly tokenId: string;
      readonly enrolled: Enrolled;
      readonly serial: string;
      readonly notAfterMs: number;
    }
  | {
      readonly kind: 'renew';
      readonly subject:
        | { readonly kind: 'user'; readonly name: string }
        | { readonly kind: 'node'; readonly nodeId: NodeId };
      readonly serial: string;
      readonly notAfterMs: number;
    }
  | { readonly kind: 'remove-user'; readonly name: string }
  /** By name or id. */
  | { readonly kind: 'remove-node'; readonly node: string }
  | { readonly kind: 'own-node'; readonly node: string; readonly owner: string }
  | { readonly kind: 'share-namespace'; readonly namespace: string; readonly user: string; readonly shared: boolean }
  | { readonly kind: 'open-namespace'; readonly namespace: string; readonly readable: boolean }
  /** By the head itself, which has measured. */
  | { readonly kind: 'fill-namespace'; readonly namespace: string; readonly full: string };
