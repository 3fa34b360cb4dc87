/**
 * Reads the Prometheus text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), strictly and
 * without any of the library that writes it.
 */
export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)",?/gy;

/** @throws Error at the first line that the format does not allow, or a series that is told twice */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed');
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const series = new Set<string>();
  let current = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (keyword) {
      const family = families.get(name) ?? { type: '', help: '', samples: [] };
      if (family.samples.length > 0) throw new Error(`${line}: after the samples of ${name}`);
      if (keyword === 'HELP') family.help = rest;
      else if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`${line}: not a type`);
      else family.type = rest;
      families.set(name, family);
      current = name;
      continue;
    }
    if (line.startsWith('#')) continue;
    const sample = parseSample(line);
    const suffix = sample.name.slice(current.length);
    const allowed =
      families.get(current)?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['', '_sum', '_count'];
    if (!sample.name.startsWith(current) || !allowed.includes(suffix)) throw new Error(`${line}: not of ${current}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (series.has(key)) throw new Error(`${line}: told twice`);
    series.add(key);
    families.get(current)!.samples.push(sample);
  }
  return families;
}

function parseSample(line: string): Sample {
  const [whole, name, labelText = '', number] = SAMPLE.exec(line) ?? [];
  if (!whole) throw new Error(`${line}: not a sample`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  let at = 0;
  for (let match = LABEL.exec(labelText); match; match = LABEL.exec(labelText)) {
    labels[match[1]!] = match[2]!.replace(/\\(["\\n])/g, (_, c: string) => (c === 'n' ? '\n' : c));
    at = LABEL.lastIndex;
  }
  if (at !== labelText.length) throw new Error(`${line}: labels end at ${at}`);
  const special: Readonly<Record<string, number>> = {
    '+Inf': Number.POSITIVE_INFINITY,
    '-Inf': Number.NEGATIVE_INFINITY,
    Nan: Number.NaN,
    NaN: Number.NaN,
  };
  const value = special[number!] ?? Number(number);
  if (Number.isNaN(value) && !/^nan$/i.test(number!)) throw new Error(`${line}: not a number`);
  return { name: name!, labels, value };
}

/** The value of one series. @throws Error when there is none */
export function seriesValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === Object.keys(labels).length &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  if (!found) throw new Error(`there is no series ${name} ${JSON.stringify(labels)}`);
  return found.value;
}
