/** Who did it. */
export interface Actor {
  readonly kind: 'user' | 'node' | 'system';
  readonly name: string;
}
