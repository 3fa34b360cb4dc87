/** The longest delay that a timer of Node holds: 31 bits of milliseconds, about 25 days. A longer one would fire at once. */
export const MAX_TIMER_MILLIS = 2 ** 31 - 1;
