import { writeFileSync } from 'node:fs';

/**
 * Writes a script that people wrote, and says how to run it: by `bash -eo pipefail`. The setups of capabilities come
 * first and without `-e`, because files such as OpenFOAM's bashrc go on after commands that fail.
 */
export function scriptCommand(file: string, text: string, setups: readonly string[]): readonly string[] {
  if (setups.length === 0) {
    writeFileSync(file, text);
    return ['bash', '-eo', 'pipefail', file];
  }
  writeFileSync(file, `${setups.join('\n')}\nset -eo pipefail\n${text}`);
  return ['bash', file];
}

/** An argv as it is, or after the setups of the capabilities it needs. */
export function argvCommand(argv: readonly string[], setups: readonly string[]): readonly string[] {
  return setups.length === 0 ? argv : ['bash', '-c', `${setups.join('\n')}\nexec "$@"`, 'bash', ...argv];
}
