// Loaded into each test file: ends it when it does not end by itself, as with a broker left running by a test that failed.
const atMost = Number(process.env.LATCHKEY_TEST_FILE_TIMEOUT);
if (process.env.NODE_TEST_CONTEXT && atMost > 0) {
  setTimeout(() => {
    console.error(`${process.argv[1]} has not ended within ${atMost / 1_000} s`);
    process.exit(1);
  }, atMost).unref();
}
