import type { Path } from '../reading/problems.ts';
import type { BatchSpec, Input, JobGroup } from '../spec.ts';

/** A batch whose files have not been looked at yet: a spec without sources, and where each part was written. */
export interface Draft {
  readonly spec: Omit<BatchSpec, 'sources' | 'groups'>;
  readonly groups: readonly DraftGroup[];
  /** What the build lays out. */
  readonly buildInputs: readonly DraftInput[];
  /** distribute's `initial_files`. */
  readonly initialInputs: readonly DraftInput[];
}

/** A template of jobs, and where it was written. */
export interface DraftGroup {
  readonly group: JobGroup;
  readonly at: Path;
  /** Where its name was written. */
  readonly nameAt: Path;
  readonly inputs: readonly DraftInput[];
}

/** A file or folder to lay out, and where it was asked for. Its texts are templates. */
export interface DraftInput extends Input {
  readonly at: Path;
  /** A pattern that stands for many files, and the folder (template) that what it finds is relative to. */
  readonly glob?: { readonly base: string };
  /** Only a file will do. */
  readonly fileOnly: boolean;
  /** Which of a runtime's places it is laid out in; two places never clash. */
  readonly place: 'inputs' | 'script';
}

/** Only what the spec keeps of an input. */
export function plainInput({ source, as }: Input): Input {
  return { source, as };
}
