// Loaded before a program (NODE_OPTIONS=--require): sets its clock as far off as the file CLOCK_OFFSET says, in milliseconds, from
// the moment that the file says so. Clocks that only count, timers among them, go on undisturbed, as with a real setting of a clock.
const fs = require('node:fs');

const RealDate = Date;

function offset() {
  return Number(fs.readFileSync(process.env.CLOCK_OFFSET, 'utf8'));
}

class SetDate extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [SetDate.now()] : args));
  }

  static now() {
    return RealDate.now() + offset();
  }
}

globalThis.Date = SetDate;
// What the clock said when the process began.
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + offset() });
