import type { Input, RuntimeSpec } from '../../config/spec.ts';
import type { AttemptFolders } from '../scratch/attempt-folders.ts';

/** What a runtime gets to lay a job out with. All paths are absolute. */
export interface JobSite {
  readonly runtime: RuntimeSpec;
  readonly folders: AttemptFolders;
  /** Granted cores. */
  readonly cpus: number;
  /** Files of the batch that every job has, and the job's own. */
  readonly initialInputs: readonly Input[];
  readonly inputs: readonly Input[];
  /** A finished build was laid out in `folders.work`. */
  readonly hasBuild: boolean;
  /** Shell text of the capabilities it needs, each to be run before the job's own. */
  readonly setups: readonly string[];
  /** Lays out inputs below a folder: modes kept, what lies there already replaced. */
  place(inputs: readonly Input[], folder: string): Promise<void>;
  /** The verified content of an input that is one file, for reading in place. */
  contentOf(input: Input): Promise<string>;
  /** Inserts the job's parameters: into text as it is, into shell text as one quoted word each. */
  renderText(template: string): string;
  renderShell(template: string): string;
  readonly signal: AbortSignal;
}

/** How a job is started once everything lies where it should. */
export interface Launch {
  readonly argv: readonly string[];
  /** Variables the runtime itself needs. */
  readonly env: Readonly<Record<string, string>>;
}

/** A way to run jobs. It lays out the files and says the command; it starts nothing itself. Throws `Fault`. */
export interface Runtime {
  prepare(site: JobSite): Promise<Launch>;
  /** The folder its inputs lie in: what `LABRUN_INPUT` names, and what the paths of templates are relative to. */
  inputsFolder(folders: AttemptFolders): string;
  /** Where in the working directory the archive is, for runtimes whose jobs expect it there. */
  readonly archiveInWork: string | undefined;
}
