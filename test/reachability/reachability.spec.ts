import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stackNames } from '../../fleet/project-files';
import { planOf, ROOT } from '../stacks/plans';
import { EXPECTED } from './expected';
import { MUTATIONS } from './mutations';
import { within } from './network';
import { type Answer, reachabilityPage } from './page';
import { answerTo, hostOf, type Openings, openings, PORTS, type Surroundings, surroundings } from './reach';
import { settingsOf } from './settings';

const PAGE = path.join(ROOT, 'docs/reachability.md');
const STACKS = Object.keys(EXPECTED).sort();

async function looked(stack: string): Promise<Surroundings> {
  return surroundings((await planOf(stack)).resources, settingsOf(ROOT, stack));
}

/** The same whatever the order in which it was found. */
function plain(found: Openings): unknown {
  const inOrder = <Value>(record: Readonly<Record<string, Value>>) =>
    Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  return inOrder(Object.fromEntries(Object.entries(found).map(([from, to]) => [from, inOrder(to)])));
}

describe('reachability', function () {
  this.timeout(120_000);
  const found: Record<string, Openings> = {};
  const answers: Answer[] = [];

  it('is looked at in every stack that has a network', () => {
    assert.deepEqual(
      STACKS,
      stackNames(ROOT)
        .filter((stack) => stack !== 'org')
        .sort(),
    );
  });

  for (const stack of STACKS) {
    it(`of ${stack} is what the design has, and nothing else is open`, async () => {
      found[stack] = openings(await looked(stack));
      assert.deepEqual(plain(found[stack]), plain(EXPECTED[stack]));
    });
  }

  for (const { what, stack, change, door, leaves } of MUTATIONS) {
    it(`would show: ${what}`, async () => {
      const [from, to, port] = door;
      const { resources } = await planOf(stack);
      const broken = openings(surroundings(change(resources), settingsOf(ROOT, stack)));
      const isOpen = (of: Openings) => of[from]?.[to]?.includes(port) ?? false;
      assert.equal(isOpen(EXPECTED[stack]), leaves === 'shut', 'before');
      assert.equal(isOpen(broken), leaves === 'open');
    });
  }

  for (const stack of STACKS.filter((name) => name.includes('-'))) {
    it(`the load balancer of ${stack} keeps the administration inside the network, and sends people to HTTPS`, async () => {
      const at = await looked(stack);
      const { clientCidrs, vpcCidr, insecureHttp, loadBalancer } = settingsOf(ROOT, stack) as unknown as Settings;
      const outside = clientCidrs.find((range) => !within(range, vpcCidr));
      const sources = [
        ['inside the network', hostOf(vpcCidr)],
        ...(outside === undefined ? [] : [['a listed client outside', hostOf(outside)]]),
      ];
      for (const [source, address] of sources) {
        for (const port of [80, 443]) {
          for (const asked of ['/v1/models', '/admin/model', '/secret/admin/model']) {
            const answer = answerTo(at, port, asked, address);
            answers.push({ stack, port, path: asked, source, answer });
            // A public one sees nobody's address of the network.
            const mayAdminister = source === 'inside the network' && loadBalancer !== 'public';
            const isRefused = asked.includes('/admin') && !mayAdminister;
            const served = isRefused ? '403' : 'forward';
            const expected = insecureHttp
              ? { 80: served, 443: 'nobody listens' }
              : { 80: 'redirect to HTTPS', 443: served };
            assert.equal(answer, expected[port as 80 | 443], `${source} ${port} ${asked}`);
          }
        }
      }
    });
  }

  it('lets every site with a private link through the endpoint service, and no other account', async () => {
    for (const environment of ['dev', 'prod']) {
      const { resources } = await planOf(environment);
      const [service] = resources.filter(({ type }) => type === 'aws:ec2/vpcEndpointService:VpcEndpointService');
      const { sites } = settingsOf(ROOT, environment) as { readonly sites: readonly CatalogueSite[] };
      const expected = sites
        .filter(({ link }) => link !== 'public')
        .map(({ accountId }) => `arn:aws:iam::${accountId}:root`);
      assert.deepEqual([...(service.inputs.allowedPrincipals as string[])].sort(), expected.sort());
      assert.equal(service.inputs.acceptanceRequired, true);
    }
  });

  it('is that of docs/reachability.md', function () {
    if (Object.keys(found).length < STACKS.length || answers.length === 0) this.skip(); // not all of the tests were chosen
    const page = reachabilityPage(Object.fromEntries(STACKS.map((stack) => [stack, found[stack]])), answers, PORTS);
    if (process.env.WRITE_REACHABILITY) writeFileSync(PAGE, page);
    assert.equal(readFileSync(PAGE, 'utf8'), page, 'WRITE_REACHABILITY=1 writes it anew; look at the change');
  });
});

interface Settings {
  readonly clientCidrs: readonly string[];
  readonly vpcCidr: string;
  readonly insecureHttp: boolean;
  readonly loadBalancer: string;
}

interface CatalogueSite {
  readonly link?: string;
  readonly accountId: string;
}
