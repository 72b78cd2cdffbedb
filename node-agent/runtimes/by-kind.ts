import type { RuntimeSpec } from '../../config/spec.ts';
import { apptainerRuntime } from './apptainer.ts';
import type { ApptainerNode } from './apptainer-node.ts';
import { commandRuntime } from './command.ts';
import { pythonRuntime } from './python.ts';
import type { Runtime } from './runtime.ts';

/** Every way to run jobs on this node. */
export type Runtimes = Readonly<Record<RuntimeSpec['kind'], Runtime>>;

/** The runtimes of this version of labrun. */
export function allRuntimes(apptainer: ApptainerNode): Runtimes {
  return { command: commandRuntime, python: pythonRuntime, apptainer: apptainerRuntime(apptainer) };
}
