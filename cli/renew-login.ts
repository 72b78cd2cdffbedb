import { open, rm } from 'node:fs/promises';
import { call, openClient } from '../base/channel/client.ts';
import type { Endpoint } from '../base/channel/credentials.ts';
import { systemClock } from '../base/clock.ts';
import { isSystemError } from '../base/errors.ts';
import { type Credentials, certificateOf, isAging, writeCredentials } from '../base/pki/credential-file.ts';
import { AccessClient } from '../proto/gen/labrun/v1/access.ts';
import { loginFile } from './login-folder.ts';

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
    // Another command is at it; one that was killed at it leaves the lock, which the next login removes.
    if (isSystemError(error, 'EEXIST')) return false;
    throw error;
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
