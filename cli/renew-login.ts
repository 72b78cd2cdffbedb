import { open, rm, stat } from 'node:fs/promises';
import { call, openClient } from '../base/channel/client.ts';
import type { Endpoint } from '../base/channel/credentials.ts';
import { systemClock } from '../base/clock.ts';
import { isSystemError } from '../base/errors.ts';
import { type Credentials, certificateOf, isAging, writeCredentials } from '../base/pki/credential-file.ts';
import { AccessClient } from '../proto/gen/labrun/v1/access.ts';
import { loginFile } from './login-folder.ts';

/** A renewal is one call, which ends within its deadline; a lock of this age, in milliseconds, has nobody behind it. */
const deadLockMs = 60_000;

/**
 * Gets a new certificate when two thirds of the old one's life are over; of several commands at once one does it.
 * Answers whether it did.
 */
export async function renewLogin(login: Credentials, endpoint: Endpoint): Promise<boolean> {
  if (!isAging(certificateOf(login), systemClock.nowMs())) return false;
  const file = loginFile();
  const lock = `${file}.lock`;
  try {
    await (await open(lock, 'wx', 0o600)).close();
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
    // Another command is at it, or was killed at it; then the next command has its turn.
    await dropDeadLock(lock);
    return false;
  }
  const client = openClient(AccessClient, endpoint, 'control');
  try {
    const { makeKeyRequest } = await import('../base/pki/request.ts');
    const { keyPem, requestPem } = await makeKeyRequest();
    const { certificatePem } = await call(client, client.renew, { requestPem });
    await writeCredentials(file, { ...login, certificatePem, keyPem });
    return true;
  } finally {
    client.close();
    await rm(lock, { force: true });
  }
}

async function dropDeadLock(lock: string): Promise<void> {
  try {
    const { mtimeMs } = await stat(lock);
    if (systemClock.nowMs() - mtimeMs > deadLockMs) await rm(lock, { force: true });
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error; // gone: the other command has ended
  }
}
