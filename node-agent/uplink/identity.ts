import { background } from '../../base/background.ts';
import type { Address } from '../../base/channel/address.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import {
  type Credentials,
  certificateOf,
  clientCredentials,
  isAging,
  writeCredentials,
} from '../../base/pki/credential-file.ts';
import { makeKeyRequest } from '../../base/pki/request.ts';
import type { Random } from '../../base/random.ts';
import { AccessClient } from '../../proto/gen/labrun/v1/access.ts';
import { keepTrying } from './backoff.ts';

/** What an agent's identity needs. */
export interface IdentityPorts {
  readonly address: Address;
  /** Nothing on a Unix socket or the loopback, where nobody asks. */
  readonly credentials: Credentials | undefined;
  /** Where the credentials are kept. */
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How often it is looked at whether the certificate has aged, in milliseconds: a machine may sleep through its time. */
const lookMs = 3_600_000;

/** Whom the agent is for its head: what it shows at each dial, renewed when two thirds of its life are over. */
export class Identity {
  readonly #ports: IdentityPorts;
  readonly #stop = new AbortController();
  #credentials: Credentials | undefined;
  #endpoint: Endpoint;
  #timer: Timer | undefined;

  constructor(ports: IdentityPorts) {
    this.#ports = ports;
    this.#credentials = ports.credentials;
    this.#endpoint = endpointOf(ports.address, ports.credentials);
  }

  /** Where to dial, and what to show there; another object after a renewal. */
  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** Looks after the certificate from now on. `connected` resolves while the head is there. */
  start(connected: (signal: AbortSignal) => Promise<void>): void {
    if (this.#credentials) this.#look(connected);
  }

  close(): void {
    this.#stop.abort(new Error('the agent is stopping'));
    this.#timer?.cancel();
  }

  #look(connected: (signal: AbortSignal) => Promise<void>): void {
    const { clock, log } = this.#ports;
    const credentials = this.#credentials;
    if (!credentials || this.#stop.signal.aborted) return;
    const certificate = certificateOf(credentials);
    const dueMs = certificate.notBeforeMs + ((certificate.notAfterMs - certificate.notBeforeMs) * 2) / 3;
    const again = () => this.#look(connected);
    if (!isAging(certificate, clock.nowMs())) {
      this.#timer = clock.setTimer(Math.min(lookMs, Math.max(1, dueMs - clock.nowMs())), again);
      return;
    }
    const renewing = this.#renew(credentials, connected).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) log.warn({ error: messageOf(error) }, 'the certificate was not renewed');
    });
    background(
      renewing.then(() => {
        // Also after a success: a clock that is far ahead would ask for one certificate after the other.
        if (!this.#stop.signal.aborted) this.#timer = clock.setTimer(lookMs, again);
      }),
    );
  }

  async #renew(credentials: Credentials, connected: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    const { keyPem, requestPem } = await makeKeyRequest();
    const made = await keepTrying(this.#ports, signal, async () => {
      await connected(signal);
      const client = openClient(AccessClient, this.#endpoint, 'control');
      try {
        return await call(client, client.renew, { requestPem }, { signal });
      } finally {
        client.close();
      }
    });
    const renewed = { ...credentials, certificatePem: made.certificatePem, keyPem };
    // On the disk first: after a restart the old one may have run out.
    await writeCredentials(this.#ports.file, renewed);
    this.#credentials = renewed;
    this.#endpoint = endpointOf(this.#ports.address, renewed);
    this.#ports.log.info({ until: certificateOf(renewed).notAfterMs }, 'the certificate was renewed');
  }
}

function endpointOf(address: Address, credentials: Credentials | undefined): Endpoint {
  return credentials ? { ...address, credentials: clientCredentials(credentials) } : address;
}
