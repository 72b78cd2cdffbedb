import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { background } from '../base/background.ts';
import type { ServerIdentity } from '../base/channel/tls-listener.ts';
import type { Clock, Timer } from '../base/clock.ts';
import { Fault, isSystemError } from '../base/errors.ts';
import type { ClusterId } from '../base/ids.ts';
import { makeFolder } from '../base/make-folder.ts';
import { type Authority, certify, makeAuthority } from '../base/pki/authority.ts';
import { fingerprintOf, readCertificate } from '../base/pki/certificate.ts';
import { makeKeyRequest } from '../base/pki/request.ts';
import type { Subject } from '../base/pki/subject.ts';
import type { Random } from '../base/random.ts';
import { writeDurably } from './archive/durable.ts';

/** How long a certificate lives, in milliseconds; who has one renews it when two thirds are over. */
export const certificateLifeMs = 90 * 24 * 3_600_000;

/** A certificate that was just made. */
export interface Issued {
  readonly certificatePem: string;
  readonly serial: string;
  readonly notAfterMs: number;
}

/** The cluster's authority at work. */
export interface OpenAuthority {
  readonly certificatePem: string;
  readonly fingerprint: string;
  /** Nothing when the request is none. */
  issue(requestPem: string, subject: Subject): Promise<Issued | undefined>;
  /** A certificate for the head itself, and a new one whenever two thirds of its life are over. */
  serve(use: (identity: ServerIdentity) => void): Promise<ServerIdentity>;
  close(): void;
}

/** Makes the authority of a new cluster in `<data>/pki`, or keeps the one that is there. The key is for its owner alone. */
export async function makeAuthorityIn(
  dataFolder: string,
  clusterId: ClusterId,
  clock: Clock,
  random: Random,
): Promise<Authority> {
  const folder = join(dataFolder, 'pki');
  await makeFolder(folder, 0o700);
  const there = await read(folder);
  if (there) return there;
  const made = await makeAuthority(clusterId, clock.nowMs(), random);
  await writeDurably(join(folder, 'authority.key'), made.keyPem, 0o600);
  // Last: with the certificate the authority is made.
  await writeDurably(join(folder, 'authority.pem'), made.certificatePem, 0o644);
  return made;
}

/** Opens a head's authority. `lifeMs`: of the certificates it makes. */
export async function openAuthority(options: {
  readonly dataFolder: string;
  readonly clusterId: ClusterId;
  readonly lifeMs: number;
  readonly clock: Clock;
  readonly random: Random;
}): Promise<OpenAuthority> {
  const { clusterId, lifeMs, clock, random } = options;
  const authority = await makeAuthorityIn(options.dataFolder, clusterId, clock, random);
  const fingerprint = fingerprintOf(authority.certificatePem);
  if (fingerprint === undefined) {
    throw new Fault('invalid', `Cannot start the head: ${options.dataFolder}/pki/authority.pem is no certificate`);
  }
  let timer: Timer | undefined;
  let closed = false;
  const issue = async (requestPem: string, subject: Subject): Promise<Issued | undefined> => {
    const certificatePem = await certify(authority, requestPem, subject, clock.nowMs(), lifeMs, random);
    const made = certificatePem === undefined ? undefined : readCertificate(certificatePem);
    return certificatePem !== undefined && made
      ? { certificatePem, serial: made.serial, notAfterMs: made.notAfterMs }
      : undefined;
  };
  const own = async (): Promise<ServerIdentity> => {
    const { keyPem, requestPem } = await makeKeyRequest();
    const issued = await issue(requestPem, { kind: 'head', clusterId });
    assert(issued, 'our own request is a proper one');
    return { certificatePem: issued.certificatePem, keyPem, authorityPem: authority.certificatePem };
  };
  const renewLater = (use: (identity: ServerIdentity) => void) => {
    timer = clock.setTimer((lifeMs * 2) / 3, () => {
      background(
        own().then((identity) => {
          if (closed) return;
          use(identity);
          renewLater(use);
        }),
      );
    });
  };
  return {
    certificatePem: authority.certificatePem,
    fingerprint,
    issue,
    async serve(use) {
      renewLater(use);
      return await own();
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

async function read(folder: string): Promise<Authority | undefined> {
  const keyFile = join(folder, 'authority.key');
  try {
    const certificatePem = await readFile(join(folder, 'authority.pem'), 'utf8');
    // A backup that was copied back may have lost the mode.
    if (((await stat(keyFile)).mode & 0o077) !== 0) await chmod(keyFile, 0o600);
    return { certificatePem, keyPem: await readFile(keyFile, 'utf8') };
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
