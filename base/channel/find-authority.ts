import type { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { type Clock, systemClock } from '../clock.ts';
import { Fault, RefusedError, refused } from '../errors.ts';
import type { ClusterId } from '../ids.ts';
import { fingerprintOf, readCertificate } from '../pki/certificate.ts';
import { serverName } from '../pki/subject.ts';
import { type Address, formatAddress } from './address.ts';
import { headProblem } from './credentials.ts';
import { handshakeMs } from './limits.ts';
import { tlsTrouble } from './tls-trouble.ts';

/** Whom to believe from now on. */
export interface FoundAuthority {
  readonly authorityPem: string;
  readonly clusterId: ClusterId;
}

/**
 * Fetches the certificate (PEM) of a head's authority, knowing only its fingerprint. Nothing is said on this connection:
 * what it brings is believed because it has the fingerprint, and the next connection is verified against it. Rejects with
 * `RefusedError` when another cluster answers, and with `Fault` when nobody does.
 */
export async function findAuthority(
  address: Address,
  fingerprint: string,
  clock: Clock = systemClock,
): Promise<FoundAuthority> {
  const where = formatAddress(address);
  const chain = await chainAt(address, where, clock);
  const authority = chain.find((certificate) => fingerprintOf(certificate.raw) === fingerprint);
  const head = chain[0] && readCertificate(chain[0].raw);
  if (!authority || !head || headProblem(chain[0]?.raw ?? authority.raw, authority.toString())) {
    throw new RefusedError(
      refused(
        'denied',
        `Cannot believe what answers at ${where}: it is not the head this token was made by; check the address, and ask whoever gave you the token`,
      ),
    );
  }
  return { authorityPem: authority.toString(), clusterId: head.subject.clusterId };
}

function chainAt(address: Address, where: string, clock: Clock): Promise<X509Certificate[]> {
  if (address.kind === 'unix') {
    throw new RefusedError(refused('invalid', `Cannot join over ${where}: who can open that socket needs no token`));
  }
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    const options = {
      host,
      port,
      servername: serverName,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
    } as const;
    const socket = connect(options);
    const fail = (why: string, cause?: unknown) => {
      timer.cancel();
      socket.destroy();
      reject(new Fault('UNAVAILABLE', `Cannot reach a head at ${where}: ${why}`, { cause }));
    };
    const timer = clock.setTimer(handshakeMs, () => fail(`no answer within ${handshakeMs / 1000} s`));
    socket.once('error', (error) => fail(tlsTrouble(error.message) ?? error.message, error));
    socket.once('secureConnect', () => {
      timer.cancel();
      const chain: X509Certificate[] = [];
      let next = socket.getPeerX509Certificate();
      while (next && chain.length < 4) {
        chain.push(next);
        next = next.issuerCertificate;
      }
      socket.destroy();
      resolve(chain);
    });
  });
}
