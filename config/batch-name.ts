import { messageOf } from '../base/errors.ts';
import { isDistribute } from './batch/distribute-file.ts';
import { ConfigError } from './reading/problems.ts';
import { readUpTo } from './reading/read-up-to.ts';
import { Written, writtenMaxBytes } from './reading/written.ts';
import { fitForName } from './template.ts';

/**
 * Which batch a job file names, without looking at the files it names: `pull` works also where those are no longer.
 * Rejects with a `ConfigError`.
 */
export async function readBatchName(path: string, user: string): Promise<{ namespace: string; name: string }> {
  const written = new Written(path, await textOf(path));
  const { tree } = written;
  const meta = isDistribute(tree) ? field(tree, 'meta') : tree;
  const name = field(meta, isDistribute(tree) ? 'batch_name' : 'name');
  const namespace = field(meta, 'namespace') ?? fitForName(user);
  if (typeof name !== 'string' && typeof name !== 'number') written.problem([], 'names no batch');
  if (written.problems.length > 0) throw new ConfigError(written.problems);
  return { namespace: String(namespace), name: String(name) };
}

function field(tree: unknown, key: string): unknown {
  return typeof tree === 'object' && tree !== null && Object.hasOwn(tree, key) ? Reflect.get(tree, key) : undefined;
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readUpTo(path, writtenMaxBytes)).toString('utf8');
  } catch (error) {
    throw new ConfigError([
      { file: path, line: 1, column: 1, path: '', message: `Cannot read the job file: ${messageOf(error)}` },
    ]);
  }
}
