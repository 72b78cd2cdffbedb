/** A capability as this machine has it. */
export interface FoundCapability {
  /** As its probe found it; empty when it has none. */
  readonly version: string;
  /** Shell text that makes it usable, sourced before probes, builds and jobs that need it. */
  readonly setup: string | undefined;
  /** Variables for the same. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a machine offers, by name. */
export type FoundCapabilities = Readonly<Record<string, FoundCapability>>;
