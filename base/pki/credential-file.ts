import { chmod, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ClientCredentials } from '../channel/credentials.ts';
import { Fault, isSystemError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { type Certificate, readCertificate } from './certificate.ts';

/** What somebody has to show in a cluster, as this machine keeps it: certificate and key in one file, so that they fit. */
export interface Credentials {
  /** Where its head is, host:port. */
  readonly head: string;
  /** The name one has there. */
  readonly name: string;
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

const writableByOthers = 0o022;

/**
 * Keeps credentials where only their owner reads them; whole or not at all. The folder is made for its owner alone; one
 * that is there is closed to what others would write.
 */
export async function writeCredentials(path: string, credentials: Credentials): Promise<void> {
  const folder = dirname(path);
  await makeFolder(folder, 0o700);
  // It may have been there, made under a generous umask.
  const { mode } = await stat(folder);
  if ((mode & writableByOthers) !== 0) await chmod(folder, mode & 0o777 & ~writableByOthers);
  const temporary = `${path}.part`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ format: 1, ...credentials }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Reads credentials; nothing when there are none. Throws `Fault` when others could read the key, or the file is damaged. */
export async function readCredentials(path: string): Promise<Credentials | undefined> {
  let text: string;
  try {
    if (((await stat(path)).mode & 0o077) !== 0) {
      throw new Fault(
        'invalid',
        `Cannot use the key in "${path}": others may read it; run "chmod 600 ${path}", or log in or join anew`,
      );
    }
    const folder = dirname(path);
    if (((await stat(folder)).mode & writableByOthers) !== 0) {
      throw new Fault(
        'invalid',
        `Cannot use the key in "${path}": others may put another in its place; run "chmod go-w ${folder}"`,
      );
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  const credentials = parse(text);
  if (!credentials)
    throw new Fault('invalid', `Cannot read "${path}": it is damaged; log in or join anew with a token`);
  return credentials;
}

/** As channels take them. */
export function clientCredentials({ authorityPem, certificatePem, keyPem }: Credentials): ClientCredentials {
  return { authorityPem, own: { certificatePem, keyPem } };
}

/** The certificate that was kept. Throws `Fault` when it is none of ours. */
export function certificateOf({ certificatePem }: Credentials): Certificate {
  const certificate = readCertificate(certificatePem);
  if (!certificate)
    throw new Fault('invalid', 'Cannot use the certificate on this machine: log in or join anew with a token');
  return certificate;
}

/** Whether two thirds of a certificate's life are over: the time to get a new one. */
export function isAging({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): boolean {
  return nowMs >= notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}

function parse(text: string): Credentials | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // told by the caller, with the file's name
  }
  const { format, head, name, authorityPem, certificatePem, keyPem }: Record<string, unknown> = { ...Object(value) };
  if (format !== 1 || typeof head !== 'string' || typeof name !== 'string' || typeof authorityPem !== 'string')
    return undefined;
  if (typeof certificatePem !== 'string' || typeof keyPem !== 'string') return undefined;
  return { head, name, authorityPem, certificatePem, keyPem };
}
