// Mocha's spec reporter, with one plain closing line for machines: "N passed, N failed, N skipped".
const { reporters, Runner } = require('mocha');

class SpecWithClosingLine extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    // A spec that took its process down, or could not be loaded.
    runner.on(Runner.constants.EVENT_TEST_FAIL, (test, error) => {
      if (error?.file) test.title += `: ${error.file}`;
    });
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes = 0, failures = 0, pending = 0 } = this.stats;
      process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
    });
  }
}

module.exports = SpecWithClosingLine;
