/** Loopback TCP is the only way in; statements of others, with what they carry, stay out of the server's log. */
const always = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  max_connections: '300',
  // More cost a third of the speed where it was measured: each process must be given each of their pages.
  shared_buffers: '128MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
} as const;

/**
 * Nothing here trades what was committed for speed: checkpoints come less often, so a recovery takes a little longer.
 * Segments of the log are used again from the start, since a new one takes tens of milliseconds to make. Pages are
 * handed to the disk as they are written: the system would keep half a minute of them and write them at once, and a commit
 * meanwhile would take half a second. And pages go into the log as they are: after a checkpoint each is written whole once, and
 * to compress them all (pglz, which is what every build has) made receipts take half a second.
 */
const durable = {
  min_wal_size: '512MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  backend_flush_after: '256kB',
  random_page_cost: '1.1',
} as const;

/** What a test database may lose: everything, as long as nobody waits for a disk. */
const disposable = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '1GB',
  checkpoint_timeout: '1h',
} as const;

/** The settings that the embedded server runs with; they are given at each start and stand above its own file's. */
export function settingsFor(isDurable: boolean): Readonly<Record<string, string>> {
  return { ...always, ...(isDurable ? durable : disposable) };
}
