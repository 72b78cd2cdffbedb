import { join } from 'node:path';
import { readAddress } from '../../base/channel/address.ts';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { findAuthority } from '../../base/channel/find-authority.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { readToken } from '../../base/pki/token.ts';
import { systemRandom } from '../../base/random.ts';
import { readHeadSettings } from '../../config/head.ts';
import { initDataFolder } from '../../head/data-folder.ts';
import { type OpenHead, openHead } from '../../head/open-head.ts';
import { AccessClient, type CreateTokenRequest, type EnrolRequest } from '../../proto/gen/labrun/v1/access.ts';
import { enrolAt, type Joined } from './enrol.ts';

export type { Joined } from './enrol.ts';

/** A real head behind TLS on the loopback, its own socket, and those whom it has let in. */
export class TlsHead {
  readonly folder: string;
  readonly head: OpenHead;
  /** On the head's own socket: an admin. */
  readonly local: AccessClient;
  readonly metadata = callerMetadata({ kind: 'user', name: 'root' });

  private constructor(folder: string, head: OpenHead) {
    this.folder = folder;
    this.head = head;
    this.local = openClient(AccessClient, this.socket, 'control');
  }

  /** `clock`: the head's, for one that lives in the past. */
  static async open(folder: string, clock: Clock = systemClock): Promise<TlsHead> {
    await initDataFolder(folder, undefined, clock.nowMs(), systemRandom);
    const settings = await readHeadSettings(folder);
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const onFatal = (error: unknown) => {
      throw error;
    };
    const ports = { clock, random: systemRandom, log, onFatal };
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    return new TlsHead(
      folder,
      await openHead({ dataFolder: folder, settings, address, plain: false, acceptLoss: false, ...ports }),
    );
  }

  get socket(): Endpoint {
    const address = readAddress(`unix:${join(this.folder, 'head.sock')}`);
    if (address.kind === 'refused') throw new Error(address.message);
    return address;
  }

  async token(over: Partial<CreateTokenRequest>): Promise<string> {
    const none = { node: false, userName: '', admin: false, expiresMs: 0n, uses: 0, owner: '' };
    const { token } = await call(this.local, this.local.createToken, { ...none, ...over }, { metadata: this.metadata });
    return token;
  }

  /** Joins with a token, as the CLI and the agent do. */
  async enrol(text: string, over: Partial<EnrolRequest> = {}): Promise<Joined> {
    return await enrolAt(this.head.address, text, over);
  }

  async user(name: string, admin = false): Promise<Joined> {
    return await this.enrol(await this.token({ userName: name, admin }));
  }

  async node(name: string, owner = ''): Promise<Joined> {
    return await this.enrol(await this.token({ node: true, owner }), { nodeName: name });
  }

  /** Who believes this head and has no certificate of its own. */
  async nobody(): Promise<Endpoint> {
    const fingerprint = readToken(await this.token({ userName: 'nobody' }))?.fingerprint ?? '';
    const { authorityPem } = await findAuthority(this.head.address, fingerprint);
    return { ...this.head.address, credentials: { authorityPem } };
  }

  async close(): Promise<void> {
    this.local.close();
    await this.head.close();
  }
}
