import assert from 'node:assert/strict';
import type { ReportData } from '../../cli/report/report-data';
import { reportPage } from '../../cli/report/report-page';

const EVIL = `<script>alert("x")</script>' onload="y"&`;

const DATA: ReportData = {
  title: 'Three hospitals',
  synthetic: true,
  strategy: 'fedavg',
  seed: 17,
  sites: [
    { site: 'a', trainingCases: 4, heldOutCases: 2 },
    { site: 'b', trainingCases: 4, heldOutCases: 2 },
  ],
  rounds: [
    {
      round: 1,
      dice: [0.5, undefined],
      meanDice: 0.5,
      loss: 0.75,
      seconds: 1.5,
      bytesToSites: 1024,
      bytesFromSites: 2048,
    },
    {
      round: 2,
      dice: [0.875, 0.625],
      meanDice: 0.75,
      loss: undefined,
      seconds: 1,
      bytesToSites: 1024,
      bytesFromSites: 2048,
    },
  ],
  matrix: [
    { model: 'site a alone', dice: [0.9, undefined] },
    { model: 'global', dice: [0.875, 0.625] },
  ],
  scan: {
    name: 'scan-7',
    dice: 0.91,
    seconds: 0.4,
    slices: [{ plane: 'axial', url: 'data:image/png;base64,AAAA', width: 96, height: 80 }],
  },
  seconds: 71.2,
  modelDigest: `sha256:${'ab'.repeat(32)}`,
  modelBytes: 123_456,
  peakRssBytes: [{ process: 'a', bytes: 1e8 }],
  slicerUrl: 'http://127.0.0.1:5000',
  serveCommand: 'clara-fed aiaa start --workspace ./w',
  maskFile: '/w/mask.nii.gz',
};

describe('the report page', () => {
  const page = reportPage(DATA);

  it('shows every figure', () => {
    for (const text of ['Three hospitals', '0.750', '0.875', '0.625', '71 s', 'scan-7', DATA.modelDigest, '(17)']) {
      assert.ok(page.includes(text), text);
    }
  });

  it('says that phantoms say nothing about clinical quality, and only of phantoms', () => {
    assert.match(page, /clinical quality/);
    assert.doesNotMatch(reportPage({ ...DATA, synthetic: false }), /clinical/);
  });

  it('loads nothing from elsewhere and runs no script', () => {
    assert.doesNotMatch(page, /<script|<link|<iframe|<object|@import|url\(|javascript:/i);
    for (const [, source] of page.matchAll(/\b(?:src|href|srcset|action)\s*=\s*["']?([^"'\s>]*)/gi)) {
      assert.match(source!, /^(data:image\/|#)/);
    }
    assert.doesNotMatch(page, /\son[a-z]+=/i);
  });

  it('escapes every text that comes from outside', () => {
    const evil = reportPage({
      ...DATA,
      title: EVIL,
      strategy: EVIL,
      sites: DATA.sites.map((site) => ({ ...site, site: EVIL })),
      matrix: DATA.matrix.map((row) => ({ ...row, model: EVIL })),
      scan: { ...DATA.scan, name: EVIL, slices: [{ plane: EVIL, url: `data:,${EVIL}`, width: 1, height: 1 }] },
      modelDigest: EVIL,
      slicerUrl: EVIL,
      slicerUrlNow: EVIL,
      serveCommand: EVIL,
      maskFile: EVIL,
    });
    assert.doesNotMatch(evil, /<script/i);
    assert.ok(!evil.includes(EVIL));
    // No tag has an attribute that the texts brought along, and every ampersand begins a reference.
    for (const [tag] of evil.matchAll(/<[a-z][^>]*>/gi)) assert.doesNotMatch(tag, /\sonload="/);
    assert.doesNotMatch(evil, /&(?!(?:amp|lt|gt|quot|#\d+);)/);
  });

  it('balances its elements', () => {
    const open: string[] = [];
    for (const [, slash, name, closed] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*?(\/?)>/gi)) {
      if (closed || ['meta', 'img', 'br'].includes(name!.toLowerCase())) continue;
      if (slash) assert.equal(open.pop(), name);
      else open.push(name!);
    }
    assert.deepEqual(open, []);
  });

  it('can show a run of which nothing was measured', () => {
    const empty = reportPage({ ...DATA, rounds: [], matrix: [], scan: { ...DATA.scan, slices: [] } });
    assert.doesNotMatch(empty, /NaN|undefined/);
  });
});
