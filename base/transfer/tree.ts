/** A small tree of files to be made as a whole. Paths are relative to it; folders come before what is in them. */
export interface Tree {
  /** Where it is made; on the same filesystem as `target`. */
  readonly temporary: string;
  readonly target: string;
  readonly folders: readonly { readonly path: string; readonly mode: number }[];
  readonly files: readonly { readonly path: string; readonly data: Uint8Array; readonly mode: number }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** What has become of a tree. `exists`: there is something at its target already, and it still lies at `temporary`. */
export type TreeResult =
  | { readonly kind: 'made' }
  | { readonly kind: 'exists' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
