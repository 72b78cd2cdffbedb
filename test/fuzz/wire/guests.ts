import { Client, Metadata } from '@grpc/grpc-js';
import type { Address } from '../../../base/channel/address.ts';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { call, openClient } from '../../../base/channel/client.ts';
import type { Endpoint } from '../../../base/channel/credentials.ts';
import { findAuthority } from '../../../base/channel/find-authority.ts';
import { RefusedError } from '../../../base/errors.ts';
import { readToken } from '../../../base/pki/token.ts';
import { AccessClient } from '../../../proto/gen/labrun/v1/access.ts';
import { enrolAt, type Joined } from '../../kit/enrol.ts';
import type { CallerName } from './plan.ts';
import type { Tunnel } from './tunnel.ts';

/** A connection, and what each call on it carries. */
export interface Line {
  readonly client: Client;
  readonly metadata: Metadata;
}

const root = callerMetadata({ kind: 'user', name: 'root' });
const noToken = { node: false, userName: '', admin: false, expiresMs: 0n, uses: 0, owner: '' };

/** Everybody who calls the head. Those the fuzzer has thrown out by a lucky request are let in again. */
export class Guests {
  readonly #own: Endpoint;
  readonly #network: Address & { readonly kind: 'tcp' };
  readonly #tunnel: Tunnel;
  readonly #access: AccessClient;
  readonly #joined = new Map<CallerName, Joined>();
  readonly #lines = new Map<CallerName, Line>();

  private constructor(own: Endpoint, network: Address & { readonly kind: 'tcp' }, tunnel: Tunnel) {
    this.#own = own;
    this.#network = network;
    this.#tunnel = tunnel;
    this.#access = openClient(AccessClient, own, 'control');
  }

  static async open(own: Endpoint, network: Address & { readonly kind: 'tcp' }, tunnel: Tunnel): Promise<Guests> {
    const guests = new Guests(own, network, tunnel);
    await guests.refresh();
    return guests;
  }

  /** Who it is that has a certificate. */
  joined(name: CallerName): Joined {
    const joined = this.#joined.get(name);
    if (!joined) throw new Error(`${name} has joined`);
    return joined;
  }

  line(name: CallerName): Line {
    const line = this.#lines.get(name);
    if (!line) throw new Error(`${name} has a line`);
    return line;
  }

  async token(over: Partial<typeof noToken>): Promise<string> {
    const { token } = await call(this.#access, this.#access.createToken, { ...noToken, ...over }, { metadata: root });
    return token;
  }

  /** Lets in who is out, and has the stranger come from another address. */
  async refresh(): Promise<void> {
    for (const name of ['ada', 'eve'] as const) await this.#keep(name, () => this.token({ userName: name }), {});
    await this.#keep('node', () => this.token({ node: true }), { nodeName: 'n1' });
    await this.#keep('other-node', () => this.token({ node: true }), { nodeName: 'n2' });
    const { fingerprint = '' } = readToken(await this.#freshToken()) ?? {};
    const { authorityPem } = await findAuthority(this.#network, fingerprint);
    this.#tunnel.turn();
    this.#dial('nobody', { ...this.#network, port: this.#tunnel.port, credentials: { authorityPem } }, new Metadata());
    if (!this.#lines.has('admin')) this.#dial('admin', this.#own, root);
    const asNode = callerMetadata({ kind: 'node', name: this.joined('node').nodeId });
    this.#dial('local-node', this.#own, asNode);
  }

  close(): void {
    this.#access.close();
    for (const { client } of this.#lines.values()) client.close();
  }

  /** There may be a thousand unused ones, and the fuzzer makes some, too. */
  async #freshToken(): Promise<string> {
    const { tokens } = await call(this.#access, this.#access.listTokens, {}, { metadata: root });
    if (tokens.length > 500) {
      for (const { id } of tokens) await call(this.#access, this.#access.revokeToken, { id }, { metadata: root });
    }
    return await this.token({ userName: 'zoe' });
  }

  async #keep(name: CallerName, token: () => Promise<string>, over: { readonly nodeName?: string }): Promise<void> {
    if (this.#joined.has(name) && (await this.#isIn(name))) return;
    const joined = await enrolAt(this.#network, await token(), over, this.#own);
    this.#joined.set(name, joined);
    this.#dial(name, joined.endpoint, new Metadata());
  }

  async #isIn(name: CallerName): Promise<boolean> {
    const client = openClient(AccessClient, this.joined(name).endpoint, 'control');
    try {
      await call(client, client.whoAmI, {});
      return true;
    } catch (error) {
      if (error instanceof RefusedError && error.refusal.code === 'denied') return false;
      throw error;
    } finally {
      client.close();
    }
  }

  #dial(name: CallerName, endpoint: Endpoint, metadata: Metadata): void {
    this.#lines.get(name)?.client.close();
    this.#lines.set(name, { client: openClient(Client, endpoint, 'bulk'), metadata });
  }
}
