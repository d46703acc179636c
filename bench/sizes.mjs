// @ts-check
/** How much work the scenarios do. */

const MIB = 1024 * 1024

export const FULL = {
  /** Bytes of the blobs that everybody pulls. */
  tinyBlob: 1024,
  smallBlob: MIB,
  mediumBlob: 32 * MIB,
  largeBlob: 256 * MIB,
  hugeBlob: 1024 * MIB,
  /** MiB of each layer of the image with many of them: most are small, one is not. */
  layers: [80, 30, 30, 12, 12, 12, 12, 4, 4, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1, 1],
  /** Bytes before the range that is asked for on a cold cache, and of the range. */
  rangeOffset: 100e6,
  rangeLength: 1e6,
  /** Clients of the cold herd. */
  herd: 50,
  /** Clients of the largest hot and memory shapes. */
  crowd: 64,
  /** Connections that do nothing. */
  idleConnections: 2000,
  /** Seconds for which they are watched. */
  idleSeconds: 2,
  /** Rows in the catalog. */
  catalogs: [1, 10_000, 1_000_000],
  /** Seconds of one hot measurement. */
  seconds: 1,
  /** Seconds after which a cold pull is given up. */
  deadline: 180,
  /** Seconds after which a crowd that is watched for its memory is sent home. */
  memorySeconds: 2,
  /** Clients that read slowly, and clients that do not, while the event loop is watched. */
  slowReaders: 1000,
  fastReaders: 50,
  /** Seconds for which it is watched. */
  eventLoopSeconds: 5,
  /** Bytes per second that the origin sends to all of its clients together. */
  originRate: 200e6,
  /** Bytes per second that it sends on each connection, where that is what is measured. */
  connectionRate: 50e6,
  /** Bytes per second that one slow reader takes. */
  slowReader: 1e6,
}

/** @typedef {typeof FULL} Sizes */

/** @type {Sizes} */
export const QUICK = {
  ...FULL,
  mediumBlob: 4 * MIB,
  largeBlob: 16 * MIB,
  hugeBlob: 32 * MIB,
  layers: [4, 2, 2, 1, 1, 1],
  rangeOffset: 8e6,
  herd: 8,
  crowd: 8,
  idleConnections: 200,
  idleSeconds: 0.5,
  catalogs: [1, 10_000],
  seconds: 0.3,
  memorySeconds: 0.5,
  slowReaders: 50,
  fastReaders: 8,
  eventLoopSeconds: 0.5,
}
