import { type Address, formatAddress } from '../base/channel/address.ts';

/**
 * Where other machines find a head that listens here, as they type it: a head that listens on every address of its
 * machine is found by the machine's name. Empty for a socket, which no other machine can reach.
 */
export function advertised(address: Address, hostName: string): string {
  if (address.kind === 'unix') return '';
  const everywhere = address.host === '0.0.0.0' || address.host === '::';
  return formatAddress({ ...address, host: everywhere ? hostName : address.host });
}
