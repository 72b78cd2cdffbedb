import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The head that is spoken to when nobody says otherwise and nobody has logged in. */
export const defaultHead = '127.0.0.1:7420';

/** What the command line needs to know about its person. */
export interface CliSettings {
  /** Where the head is, host:port or unix:PATH; nothing when nobody said. */
  readonly head: string | undefined;
  readonly token: string | undefined;
  readonly colour: 'auto' | 'always' | 'never';
}

/**
 * Settings of the command line: variables win over the file, the file over defaults. `LABRUN_CONFIG` names the file,
 * which must then be there; `NO_COLOR` switches colours off. Rejects with `ConfigError`.
 */
export async function readCliSettings(
  env: Readonly<Record<string, string | undefined>>,
  homeFolder: string,
): Promise<CliSettings> {
  const path = cliSettingsFile(env, homeFolder);
  const file = env['LABRUN_CONFIG'] || existsSync(path) ? await readFile(path) : {};
  return {
    head: env['LABRUN_HEAD'] || file.head,
    token: env['LABRUN_TOKEN'] || file.token,
    colour: env['NO_COLOR'] ? 'never' : (file.colour ?? 'auto'),
  };
}

/** Where the settings are looked for. */
export function cliSettingsFile(env: Readonly<Record<string, string | undefined>>, homeFolder: string): string {
  return env['LABRUN_CONFIG'] || join(env['XDG_CONFIG_HOME'] || join(homeFolder, '.config'), 'labrun', 'config.yaml');
}

/** The readers of YAML are loaded only where there is a file: most people have none, and every command starts here. */
async function readFile(path: string) {
  const [{ readSettings }, { cliFile }] = await Promise.all([
    import('./reading/settings-file.ts'),
    import('./cli-file.ts'),
  ]);
  return readSettings(path, cliFile, { required: true });
}
