/** Largest gRPC message, in bytes. Chunks are far below; pages of lists and reports stay below by being pages. */
export const messageMaxBytes = 8 * 2 ** 20;
/** Bytes of data in one chunk of a file or blob: what gave the best rate over loopback. */
export const chunkBytes = 256 * 2 ** 10;
/** Window of a bulk connection, in bytes: large enough that a fast link is never idle. */
export const bulkWindowBytes = 8 * 2 ** 20;
/** Window of each of a server's connections, in bytes: what a caller may send ahead of a reader that is slow; many call at once. */
export const serverWindowBytes = 2 ** 20;
/** How long a unary call may take unless it says otherwise, in milliseconds. */
export const callDeadlineMs = 30_000;
/** How long a connection may be silent before it is pinged, and how long the answer may take, in milliseconds. */
export const pingEveryMs = 20_000;
export const pingWaitMs = 10_000;
/** Connections in all, and from one address: a lab behind one NAT fits, a flood does not. */
export const connectionsMax = 4_096;
export const connectionsPerAddressMax = 1_024;
/** How long a TLS handshake may take, in milliseconds. */
export const handshakeMs = 10_000;
/** Calls under way on one connection: as many as one caller may have; also those that have not said yet what they ask. */
export const callsPerConnectionMax = 1_024;
