import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Credentials, readCredentials } from '../base/pki/credential-file.ts';
import { cliSettingsFile } from '../config/cli.ts';

/** Where this person's credentials are kept, beside their settings. */
export function loginFile(): string {
  return join(dirname(cliSettingsFile(process.env, homedir())), 'credentials.json');
}

/** What a login has left here; nothing without one. */
export async function readLogin(): Promise<Credentials | undefined> {
  return await readCredentials(loginFile());
}
